//! Namespaces of a thread's own, for what must not reach the rest of the machine: tests of the
//! packet filter, of mounts and of permission events, and the benches beside them.

#![expect(unsafe_code, reason = "rustix leaves it to the caller what a namespace does to others")]

use rustix::thread::UnshareFlags;

/// Moves the calling thread, and what it starts from now on, to an empty network of its own.
/// Needs CAP_SYS_ADMIN.
pub fn private_network() -> std::io::Result<()> {
    // SAFETY: only the thread's network changes; descriptors stay valid and shared.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Moves the calling thread, and what it starts from now on, to mounts of its own: what it mounts
/// is seen by nobody else. Needs CAP_SYS_ADMIN.
pub fn private_mounts() -> std::io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    // SAFETY: only the thread's mounts, root and working directory become its own; descriptors
    // stay valid and shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(mount_change("/", private)?)
}

/// Moves the calling thread, and what it starts from now on, to control groups whose root is the
/// group it is in. Needs CAP_SYS_ADMIN.
pub fn private_groups() -> std::io::Result<()> {
    // SAFETY: only the thread's view of control groups changes; descriptors stay valid and shared.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }?)
}
