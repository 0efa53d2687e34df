use super::*;

#[test]
fn a_stamp_is_current_until_an_input_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (inputs, file) = (folder.path().join("src"), folder.path().join("stamp"));
    fs::create_dir_all(inputs.join("deep")).unwrap();
    fs::write(inputs.join("deep/a"), "one").unwrap();
    let stamp =
        || Stamp::new(file.clone(), &[inputs.clone(), folder.path().join("absent")]).unwrap();

    assert!(!stamp().is_current());
    stamp().write().unwrap();
    assert!(stamp().is_current());

    fs::write(inputs.join("deep/a"), "two").unwrap();
    assert!(!stamp().is_current(), "changed content");
    fs::write(inputs.join("deep/a"), "one").unwrap();
    assert!(stamp().is_current(), "the same content again");
    fs::rename(inputs.join("deep/a"), inputs.join("deep/b")).unwrap();
    assert!(!stamp().is_current(), "a renamed file");
}

#[test]
fn the_digest_is_sha256() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("abc");
    fs::write(&file, "abc").unwrap();
    assert_eq!(
        sha256(&file).unwrap(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
