use super::*;

#[test]
fn the_line_pins_the_key_and_keeps_the_token_out_of_arguments() {
    let token = EnrolToken {
        secret: [1; 16],
        ca_pin: [2; 32],
        endpoints: vec!["10.9.0.1:8443".to_owned(), "other:8443".to_owned()],
    };
    let line = one_liner(&token, "sha256//AAAA=");
    let (fetch, run) = line.split_once(" | ").unwrap();
    assert_eq!(fetch, "curl -fsSk --pinnedpubkey 'sha256//AAAA=' https://10.9.0.1:8443/install.sh");
    assert_eq!(run, format!("GARRISON_TOKEN='{token}' sh"));
}

#[test]
fn the_script_is_filled_in_completely() {
    let text = fill("a:1 b:2", "sha256//AA=", "00ff");
    assert!(!text.contains("@'"), "{text}");
    assert!(text.contains("servers='a:1 b:2'") && text.contains("sha256='00ff'"));
}

#[test]
fn the_script_is_plain_sh() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), fill("a:1", "sha256//AA=", "00")).unwrap();
    let parsed = std::process::Command::new("sh").arg("-n").arg(file.path()).status().unwrap();
    assert!(parsed.success());
    match std::process::Command::new("shellcheck").args(["-s", "sh"]).arg(file.path()).output() {
        Ok(it) => assert!(it.status.success(), "{}", String::from_utf8_lossy(&it.stdout)),
        Err(_) => println!("skipped: shellcheck is not installed"),
    }
}
