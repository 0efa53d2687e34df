use super::*;
use crate::content::cases;

#[test]
fn every_case_of_the_catalogue_does_what_it_says() {
    let proof = cases::prove(&Catalogue::embedded().unwrap()).unwrap();
    assert_eq!(proof.failures, []);
    assert!(proof.rules > 0 && proof.firing >= proof.rules && proof.quiet >= proof.rules);
}

/// `UPDATE=1` writes the table anew.
#[test]
fn the_documented_taxonomy_is_the_one_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- taxonomy -->\n", "<!-- end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let rows = Field::ALL.iter().map(|it| {
        let on = carriers(*it);
        format!("| `{}` | {:?} | {on} | {} |\n", it.name(), it.form(), it.about())
    });
    let table = format!(
        "| field | form | on | what it is |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    );
    let want = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &want).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), want);
}

/// Which events carry a field, in words.
fn carriers(field: Field) -> String {
    let on = field.carried_by();
    if on.len() == Category::ALL.len() {
        return "all".to_owned();
    }
    if on.len() + 1 == Category::ALL.len() && !on.contains(&Category::State) {
        return "all but state".to_owned();
    }
    on.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
}
