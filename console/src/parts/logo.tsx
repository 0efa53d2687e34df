export function Logo({ size }: { size: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path fill="var(--primary)" d="M4 6h5v3h4V6h6v3h4V6h5v9c0 7-5 11-12 14C9 26 4 22 4 15z" />
      <path fill="none" stroke="var(--surface)" strokeWidth="2.4" d="m10.5 16.5 4 4 7-8" />
    </svg>
  );
}
