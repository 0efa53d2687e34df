use super::*;

#[test]
fn libraries_are_read_from_what_ldd_says() {
    let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tnot a dynamic executable\n";
    assert_eq!(paths(text), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
}

#[test]
fn an_archive_has_folders_before_files_and_is_padded() {
    let mut out = Vec::new();
    let mut archive = Archive { out: &mut out, next: 1, folders: Vec::new() };
    archive.file("bin/sub/one", b"abcde").unwrap();
    archive.file("bin/two", b"").unwrap();
    archive.end().unwrap();
    let text = String::from_utf8(out).unwrap();
    let entries: Vec<&str> = text.split("070701").skip(1).collect();
    let names = entries.iter().map(|it| it.get(104..).unwrap().split('\0').next().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["bin", "bin/sub", "bin/sub/one", "bin/two", "TRAILER!!!"]);
    let starts: Vec<&str> = entries.iter().map(|it| it.get(..16).unwrap()).collect();
    assert_eq!(
        starts.get(..3).unwrap(),
        ["00000001000041ed", "00000002000041ed", "00000003000081ed"]
    );
    assert!(entries.get(2).unwrap().ends_with("abcde\0\0\0"));
    assert!(entries.iter().all(|it| (it.len() + 6).is_multiple_of(4)));
}
