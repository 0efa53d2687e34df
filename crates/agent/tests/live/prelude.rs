//! Functions that scripts of scenes call. Those that a script names are put before it.

/// Waits until somebody listens on a port, a hundredth of a second at a time.
const UP: &str = r#"up() { local n=0; until [[ $(</proc/net/tcp) == *":$(printf %04X "$1") 00000000:0000 0A"* ]]; do (( n++ < 2000 )) || return 1; read -rt 0.01 <> <(:); done; }
"#;
/// Waits until the host's state has been looked at once from beginning to end.
const LOOKED: &str = r#"looked() { local n=0 from; from=$(<"$LOOKS"); until (( $(<"$LOOKS") >= from + 2 )); do (( n++ < 6000 )) || return 1; read -rt 0.01 <> <(:); done; }
"#;
/// Runs a script in what the kernel shows of a container: a control group with the name that a
/// runtime gives it, and namespaces of processes and mounts. It stays for a while, so that who
/// looks at it then still finds it.
const CONTAIN: &str = r#"contain() { local cg own id
for cg in /sys/fs/cgroup/unified /sys/fs/cgroup; do [[ -f $cg/cgroup.procs ]] && break; done
while IFS=: read -r id _ own; do [[ $id == 0 ]] && break; done < /proc/self/cgroup
printf -v id %064x $BASHPID; mkdir "$cg/docker-$id.scope" || return
echo $BASHPID > "$cg/docker-$id.scope/cgroup.procs"
unshare --pid --mount --fork --kill-child bash -c "$1"$'\nsleep 2'
echo $BASHPID > "$cg$own/cgroup.procs"; rmdir "$cg/docker-$id.scope"; }
"#;
/// Becomes a process of this agent that waits for the end of what it reads.
const AGENT: &str = r#"agent() { GARRISON_IDLES=1 exec "$AGENT" --exact stage::idles_for_a_scene --nocapture; }
"#;

const FUNCTIONS: [(&str, &str); 4] =
    [("up ", UP), ("looked", LOOKED), ("contain ", CONTAIN), ("agent ", AGENT)];

/// The script with what it calls.
pub(crate) fn with(script: &str) -> String {
    let called = FUNCTIONS.iter().filter(|(name, _)| script.contains(name));
    called.map(|(_, text)| *text).chain([script]).collect()
}
