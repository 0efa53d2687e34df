import { useQuery } from "@tanstack/react-query";
import { read } from "../api";
import type { Permission } from "../contract";

/** What the signed-in person may do. What they may not do is not offered. */
export function useMay(): (permission: Permission) => boolean {
  const { data } = useQuery(read.session());
  return (permission) => data?.permissions.includes(permission) ?? false;
}
