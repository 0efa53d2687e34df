/** A technique of MITRE ATT&CK, with its page there. */
export function Technique({ id }: { id: string }) {
  return (
    <a
      href={`https://attack.mitre.org/techniques/${id.replace(".", "/")}/`}
      target="_blank"
      rel="noreferrer"
    >
      {id}
    </a>
  );
}
