//! What the arguments of network tools say of the files they will write.

/// Most files of one start of a tool.
const OUTPUTS_MAX: usize = 32;
/// Options of curl, by one letter, that take a value.
const CURL_VALUES: &str = "AbcCdDeEFhHKmPQrtTuUwxXyYz";
/// Options of wget, by one letter, that take a value.
const WGET_VALUES: &str = "aABDeGIlotTUwQXR";

/// The files that the arguments of `name` say it writes, as they stand there.
pub(super) fn outputs(name: &str, arguments: &[String]) -> Vec<String> {
    let words = arguments.iter().skip(1).map(String::as_str);
    let mut found = match name {
        "curl" => curl(words),
        "wget" => wget(words),
        _ => Vec::new(),
    };
    found.retain(|it| !it.is_empty() && it != "-" && !it.starts_with("/dev/"));
    found.truncate(OUTPUTS_MAX);
    found
}

fn curl<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut files, mut addresses, mut by_name) = (Vec::new(), Vec::new(), false);
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            match option {
                "output" => files.extend(words.next()),
                "remote-name" | "remote-name-all" => by_name = true,
                _ => {}
            }
            continue;
        }
        let Some(letters) = word.strip_prefix('-') else {
            addresses.push(word);
            continue;
        };
        by_name |= has_flag(letters, 'O', CURL_VALUES, "o");
        if let Some(file) = value_of(letters, 'o', CURL_VALUES, &mut words) {
            files.push(file);
        }
    }
    let mut all: Vec<String> = files.into_iter().map(ToOwned::to_owned).collect();
    if by_name {
        all.extend(addresses.into_iter().map(last_part));
    }
    all
}

fn wget<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut file, mut folder, mut addresses) = (None, None, Vec::new());
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            match option.split_once('=').unwrap_or((option, "")) {
                ("output-document", "") => file = words.next(),
                ("output-document", given) => file = Some(given),
                ("directory-prefix", "") => folder = words.next(),
                ("directory-prefix", given) => folder = Some(given),
                _ => {}
            }
            continue;
        }
        let Some(letters) = word.strip_prefix('-') else {
            addresses.push(word);
            continue;
        };
        let values = WGET_VALUES;
        if letters.contains('P') && !letters.contains('O') {
            folder = value_of(letters, 'P', values, &mut words).or(folder);
        } else {
            file = value_of(letters, 'O', values, &mut words).or(file);
        }
    }
    if let Some(file) = file {
        return vec![file.to_owned()];
    }
    let folder = folder.map(|it| format!("{}/", it.trim_end_matches('/'))).unwrap_or_default();
    addresses.into_iter().map(|it| format!("{folder}{}", last_part(it))).collect()
}

/// Whether `flag` is among letters that belong to one word of options.
fn has_flag(letters: &str, flag: char, values: &str, ends: &str) -> bool {
    letters
        .chars()
        .take_while(|it| !values.contains(*it) && !ends.contains(*it))
        .any(|it| it == flag)
}

/// The value of `option` in one word of options, or in the next word.
fn value_of<'a>(
    letters: &'a str,
    option: char,
    values: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let takes = |it: char| it == option || values.contains(it);
    let (place, letter) = letters.char_indices().find(|(_, it)| takes(*it))?;
    let rest = letters.get(place + letter.len_utf8()..).unwrap_or_default();
    let value = if rest.is_empty() { words.next() } else { Some(rest) };
    value.filter(|_| letter == option)
}

/// The name that a file of this address gets.
fn last_part(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, it)| it);
    path.split_once('/').and_then(|(_, it)| it.rsplit('/').next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_they_write() {
        for (line, files) in [
            ("curl -sO https://a.example/b/c.sh?x=1", vec!["c.sh"]),
            ("curl -so /tmp/t http://a.example/", vec!["/tmp/t"]),
            ("curl -o/tmp/t a.example/x", vec!["/tmp/t"]),
            ("curl --output t -H a:b a.example/x", vec!["t"]),
            ("curl -H Origin:O -X POST a.example/x", vec![]),
            ("curl -fsSL a.example/x -o -", vec![]),
            ("curl -o a a.example/1 -o b a.example/2", vec!["a", "b"]),
            ("wget https://a.example/x/y", vec!["y"]),
            ("wget -qO- a.example/x", vec![]),
            ("wget -q -O /opt/k a.example/x", vec!["/opt/k"]),
            ("wget --output-document=k a.example/x", vec!["k"]),
            ("wget -P /tmp/ a.example/x/k", vec!["/tmp/k"]),
            ("wget a.example", vec![]),
            ("nc -l 80", vec![]),
        ] {
            let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            assert_eq!(outputs(&words[0], &words), files, "{line}");
        }
    }
}
