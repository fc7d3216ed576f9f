//! `format` and `extends`: the file itself.

use std::io::Write;

use crate::program::run;
use crate::wire::check;

pub(crate) fn only_its_own_format_is_read() {
    assert!(check(&["format=1"]).0);
    let (is_good, said) = check(&["format=2"]);
    assert!(!is_good && said.contains("this version reads format 1, not 2"), "{said}");
}

/// What is said of a key that only one of the built-in profiles has.
fn explained(text: &str) -> String {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let output = run(&["explain", "--profile", path, "listen.public.http.bind"]);
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn a_profile_begins_with_the_one_that_it_extends() {
    let said = explained("format = 1\nextends = \"dev\"\n");
    assert!(said.contains("127.0.0.1:8080") && said.contains("built-in `dev`"), "{said}");
    let said = explained("format = 1\nextends = \"desktop\"\n");
    assert!(said.ends_with("listen.public.http.bind is not set, and has no default.\n"), "{said}");
}
