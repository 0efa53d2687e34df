import { Link } from "@tanstack/react-router";
import type { NamedRef } from "../contract";

export function HostLink({ host }: { host: NamedRef }) {
  return (
    <Link to="/servers/$host" params={{ host: host.id }} className="cut" title={host.name}>
      {host.name}
    </Link>
  );
}
