use super::*;

const TWO: &[u8] =
    b"C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\nZ:Q1x\n\
F:usr/bin\nR:ldd\n\nP:busybox\nV:1.36.1-r29\nA:x86_64\nF:bin\nR:busybox\n";

#[test]
fn packages_and_their_files() {
    let mut files = Vec::new();
    let (packages, skipped) = parse(TWO, &mut |package, directory, name| {
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        files.push((package, text(directory), text(name)));
    });
    let names: Vec<_> = packages.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
    assert_eq!(names, [("musl", "1.2.5-r0"), ("busybox", "1.36.1-r29")]);
    assert_eq!(packages[0].source.as_deref(), Some("musl"));
    let file =
        |package, directory: &str, name: &str| (package, directory.to_owned(), name.to_owned());
    assert_eq!(
        files,
        [
            file(0, "lib", "ld-musl-x86_64.so.1"),
            file(0, "usr/bin", "ldd"),
            file(1, "bin", "busybox")
        ]
    );
    assert!(skipped.is_empty());
}

#[test]
fn broken_databases_give_what_is_left() {
    let (packages, skipped) = parse(b"V:1\nF:etc\nR:x\n\nP:ok\nV:2\n\n\n", &mut |_, _, _| {});
    assert_eq!(packages.len(), 1);
    assert_eq!(skipped, ["/lib/apk/db/installed:1: a package without name or version"]);
    for cut in 0..TWO.len() {
        parse(&TWO[..cut], &mut |_, _, _| {});
    }
    let (packages, _) = parse(b"P:\xff\xfe\nV:\x00", &mut |_, _, _| {});
    assert_eq!(packages.len(), 1);
}
