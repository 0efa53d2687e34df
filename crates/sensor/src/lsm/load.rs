//! Puts the deciding programs into the kernel.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};

use libbpf_rs::btf::{Btf, types};
use libbpf_rs::query::LinkInfo;
use libbpf_rs::{
    MapCore as _, MapHandle, MapInfo, Object, ObjectBuilder, OpenObject, PrintLevel,
    ReferencesType as _,
};

use super::LsmError;
use crate::health::Missing;

/// Built by `cargo xtask bpf` from `bpf/lsm.bpf.c`; see the README beside it.
#[cfg(target_arch = "x86_64")]
const OBJECT: &[u8] = include_bytes!("../../bpf/lsm.bpf.o");

/// Needs `bpf_ima_file_hash`, and to be let sleep.
pub const BY_CONTENT: &str = "exec_by_content";
/// The function of the kernel's integrity subsystem behind it.
const SUMS: &str = "ima_file_hash";
/// Two forms of one hook, of which the kernel has one.
const BARE: &str = "change_attributes";
const MAPPED: &str = "change_attributes_mapped";
/// Parameters of the second form.
const MAPPED_PARAMETERS: usize = 3;

/// What stays open: as long as it lives, the programs decide.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) refusals: MapHandle,
    pub(super) orders: MapHandle,
    pub(super) counts: MapHandle,
    pub(super) learned: MapHandle,
    pub(super) refused_files: MapHandle,
    pub(super) refused_contents: MapHandle,
    pub(super) places: MapHandle,
    pub(super) processes: MapHandle,
    pub(super) objects: MapHandle,
    pub(super) attached: Vec<String>,
    pub(super) missing: Vec<Missing>,
    /// Kinds and numbers of what disarms: maps 1, attachments 2.
    pub(super) own: Vec<(u32, u32)>,
    _links: Vec<OwnedFd>,
}

impl Loaded {
    pub(super) fn has(&self, program: &str) -> bool {
        self.attached.iter().any(|it| it == program)
    }

    pub(super) fn decides_by_content(&self) -> bool {
        self.has(BY_CONTENT)
    }
}

pub(super) fn load() -> Result<Loaded, LsmError> {
    // What goes wrong comes back as an error; a library has no business on standard error.
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, _| ())));
    let btf = Btf::from_vmlinux().map_err(LsmError::NoBtf)?;
    let absent = absent(&btf, &mut open()?);
    drop(btf);
    match with(&absent) {
        // Older kernels do not lend programs that sum, or want their maps made beforehand.
        Err(LsmError::Refused(error)) if !absent.iter().any(|it| it.name == BY_CONTENT) => {
            let reason = format!("this kernel does not sum the content of programs: {error}");
            with(&[absent, vec![Missing::new(BY_CONTENT, &reason)]].concat())
        }
        other => other,
    }
}

#[cfg(target_arch = "x86_64")]
fn open() -> Result<OpenObject, LsmError> {
    let mut builder = ObjectBuilder::default();
    let named = builder.name("garrison_lsm");
    named.and_then(|it| it.open_memory(OBJECT)).map_err(LsmError::Refused)
}

#[cfg(not(target_arch = "x86_64"))]
fn open() -> Result<OpenObject, LsmError> {
    Err(LsmError::Architecture)
}

/// Programs for whose hook this kernel has no place.
fn absent(btf: &Btf<'_>, object: &mut OpenObject) -> Vec<Missing> {
    let parameters = |hook: &str| {
        let hook: types::Func<'_> = btf.type_by_name(&format!("bpf_lsm_{hook}"))?;
        let form: types::FuncProto<'_> = hook.referenced_type().try_into().ok()?;
        Some(form.len())
    };
    let mut absent = Vec::new();
    // Without it the helper is there, and sums nothing.
    if btf.type_by_name::<types::Func<'_>>(SUMS).is_none() {
        let reason = "this kernel does not sum the content of files: it has no integrity subsystem";
        absent.push(Missing::new(BY_CONTENT, reason));
    }
    for program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let section = program.section().to_string_lossy().into_owned();
        let hook = section.rsplit('/').next().unwrap_or_default();
        let reason = match (name.as_str(), parameters(hook)) {
            (_, None) => "this kernel has no such hook",
            (BARE, Some(MAPPED_PARAMETERS..)) | (MAPPED, Some(..MAPPED_PARAMETERS)) => {
                "not applicable: the hook has another form here"
            }
            _ => continue,
        };
        absent.push(Missing::new(&name, reason));
    }
    absent
}

fn with(absent: &[Missing]) -> Result<Loaded, LsmError> {
    let left_out: HashSet<&str> = absent.iter().map(|it| it.name.as_str()).collect();
    let mut open = open()?;
    for mut program in open.progs_mut() {
        if left_out.contains(&*program.name().to_string_lossy()) {
            program.set_autoload(false);
        }
    }
    let mut object = open.load().map_err(LsmError::Refused)?;
    let mut own = Vec::new();
    for map in object.maps() {
        let info = MapInfo::new(map.as_fd()).map_err(|it| LsmError::Map("of its own", it))?;
        own.push((1, info.info.id));
    }
    let (attached, links) = attach(&mut object, &left_out)?;
    for link in &links {
        let info = LinkInfo::from_fd(link.as_fd()).map_err(|it| LsmError::Map("of links", it))?;
        own.push((2, info.id));
    }
    let map = |name: &'static str| {
        let map = object.maps().find(|it| it.name() == name).ok_or(LsmError::NoMap(name))?;
        MapHandle::try_from(&map).map_err(|it| LsmError::Map(name, it))
    };
    Ok(Loaded {
        refusals: map("refusals")?,
        orders: map("orders")?,
        counts: map("counts")?,
        learned: map("learned")?,
        refused_files: map("refused_files")?,
        refused_contents: map("refused_contents")?,
        places: map("places")?,
        processes: map("processes")?,
        objects: map("objects")?,
        attached,
        missing: absent.to_vec(),
        own,
        _links: links,
    })
}

fn attach(
    object: &mut Object,
    left_out: &HashSet<&str>,
) -> Result<(Vec<String>, Vec<OwnedFd>), LsmError> {
    let (mut names, mut links) = (Vec::new(), Vec::new());
    for program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        if left_out.contains(name.as_str()) {
            continue;
        }
        let link = program.attach_lsm().map_err(|it| LsmError::Attach(name.clone(), it))?;
        links.push(link.as_fd().try_clone_to_owned().map_err(LsmError::Ring)?);
        names.push(name);
    }
    Ok((names, links))
}
