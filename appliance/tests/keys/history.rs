//! `history`: what is kept of the generations that served.

use std::fs;
use std::path::Path;

use crate::program::{Program, profile};
use crate::wire::until;

fn generations(program: &Program) -> usize {
    let shown = program.control("/admin/history").json();
    shown["generations"].as_array().expect("a list").len()
}

/// Files of generations in a folder.
fn files(folder: &Path) -> usize {
    let Ok(files) = fs::read_dir(folder) else { return 0 };
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("generation-")).count()
}

pub(crate) fn what_served_is_kept_in_a_folder_or_ends_with_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history");
    let setting = format!("history.folder={}", path.display());
    for (settings, is_kept) in [(&["--set", setting.as_str()][..], true), (&[], false)] {
        let program = Program::start(&profile(""), settings);
        until("it is kept", || generations(&program) == 1);
        let kept = &program.control("/admin/history").json()["kept"];
        assert_eq!(kept, if is_kept { "disk" } else { "memory" });
        until("it is written", || !is_kept || files(&path) == 1);
        drop(program);
        fs::remove_dir_all(&path).ok();
    }
    assert_eq!(files(&path), 0);
}

pub(crate) fn so_many_generations_are_kept() {
    for generations_max in [2, 3] {
        let file = profile("[tasks]\npoll_ms = 1001\n[reload]\nwatch = false\n");
        let setting = format!("history.generations_max={generations_max}");
        let program = Program::start(&file, &["--set", &setting]);
        let text = fs::read_to_string(&file).expect("it is there");
        for number in 1..=4 {
            fs::write(&file, text.replace("1001", &format!("100{}", number + 1))).expect("written");
            let head =
                format!("POST /admin/reload?wait=true HTTP/1.1\r\nHost: {}\r\n", program.control);
            assert_eq!(program.request_control(&head).status, 200);
            assert_eq!(generations(&program), generations_max.min(number + 1));
        }
    }
}
