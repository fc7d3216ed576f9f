//! What a library says of itself without being run, and whether it is safe to run.

use std::fmt;
use std::path::Path;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Object, ObjectSection};
use plugin_abi::{ABI_MAJOR, ABI_MINOR, NOTE_NAME, NOTE_SECTION, NOTE_TYPE};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::LoadError;
use crate::load::read_checked;

/// The static manifest of a library, and what its file says besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// For example `acme.weather`.
    pub id: String,
    /// For example `1.4.2`.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// The plugin ABI, for example `1.0`.
    pub abi: String,
    /// One sentence.
    pub description: String,
    /// Size of the file.
    pub file_bytes: usize,
    /// Libraries that it needs.
    pub needs: Vec<String>,
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "id           {}", self.id)?;
        writeln!(f, "version      {}", self.version)?;
        writeln!(f, "description  {}", self.description)?;
        writeln!(f, "abi          {}", self.abi)?;
        writeln!(f, "sdk          {}", self.sdk)?;
        writeln!(f, "size         {} bytes", self.file_bytes)?;
        write!(f, "needs        {}", self.needs.join(", "))
    }
}

/// What can be told of a library without running any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the file, in hexadecimal. Not part of the manifest: a start needs no digest, and it would be the
    /// longest step of it.
    pub sha256: String,
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.manifest)?;
        write!(f, "sha256       {}", self.sha256)
    }
}

/// Reads the manifest of a library without running any of it.
///
/// # Errors
/// When it would not be loaded either.
pub fn inspect(path: &Path) -> Result<Inspection, LoadError> {
    let bytes = read_checked(path)?;
    let manifest = Manifest::from_elf(&bytes).map_err(|fault| fault.at(path))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Inspection { manifest, sha256 })
}

/// What is wrong with the bytes of a library.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a library with a manifest.
    NotPlugin(String),
    /// For another machine.
    WrongSystem(String),
    /// Asks the loader for something dangerous.
    Unsafe(String),
    /// Another ABI.
    WrongAbi(String),
}

impl Fault {
    pub(crate) fn at(self, path: &Path) -> LoadError {
        let path = path.to_owned();
        match self {
            Self::NotPlugin(what) => LoadError::NotPlugin { path, what },
            Self::WrongSystem(what) => LoadError::WrongSystem { path, what },
            Self::Unsafe(what) => LoadError::Unsafe { path, what },
            Self::WrongAbi(found) => {
                LoadError::WrongAbi { path, found, supported: format!("{ABI_MAJOR}.{ABI_MINOR}") }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
const MACHINE: (elf::Machine, &str) = (elf::EM_X86_64, "x86-64");
#[cfg(target_arch = "aarch64")]
const MACHINE: (elf::Machine, &str) = (elf::EM_AARCH64, "aarch64");

impl Manifest {
    /// Reads the manifest out of the bytes of a library, and checks what its headers ask of the loader. Pure.
    ///
    /// # Errors
    /// The first thing that forbids loading it.
    pub fn from_elf(bytes: &[u8]) -> Result<Self, Fault> {
        let malformed =
            |error: object::Error| Fault::NotPlugin(format!("malformed ELF file: {error}"));
        if bytes.get(..4) != Some(b"\x7fELF") {
            return Err(Fault::NotPlugin(
                "not an ELF file; build it as a shared library".to_owned(),
            ));
        }
        if bytes.get(4..6) != Some(&[2, 1]) {
            return Err(Fault::WrongSystem("not a 64-bit little-endian ELF file".to_owned()));
        }
        let file = ElfFile64::<object::Endianness>::parse(bytes).map_err(malformed)?;
        check_headers(&file)?;
        let needs = check_dynamic(&file)?;
        let note = file.section_by_name(NOTE_SECTION).ok_or_else(|| {
            Fault::NotPlugin(format!("no `{NOTE_SECTION}` section; build it with the plugin SDK"))
        })?;
        let json = note_json(note.data().map_err(malformed)?)?;
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| Fault::NotPlugin(format!("its manifest is not JSON: {error}")))?;
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| Fault::NotPlugin(format!("its manifest has no `{key}`")))
        };
        let abi = text("abi")?;
        let major = abi.split('.').next().and_then(|major| major.parse::<u16>().ok());
        if major != Some(ABI_MAJOR) {
            return Err(Fault::WrongAbi(abi));
        }
        Ok(Self {
            id: text("id")?,
            version: text("version")?,
            sdk: text("sdk")?,
            abi,
            description: text("description").unwrap_or_default(),
            file_bytes: bytes.len(),
            needs,
        })
    }
}

fn check_headers(file: &ElfFile64<'_, object::Endianness>) -> Result<(), Fault> {
    let endian = file.endian();
    let header = file.elf_header();
    if header.e_machine(endian) != MACHINE.0 {
        return Err(Fault::WrongSystem(format!("not for {}", MACHINE.1)));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(Fault::NotPlugin(
            "not a shared library; build it with -shared or as a cdylib".to_owned(),
        ));
    }
    for segment in file.elf_program_headers() {
        let flags = segment.p_flags(endian).0;
        let is_executable = flags & elf::PF_X.0 != 0;
        let is_writable = flags & elf::PF_W.0 != 0;
        let kind = segment.p_type(endian);
        if kind == elf::PT_GNU_STACK && is_executable {
            return Err(Fault::Unsafe(
                "it wants an executable stack; link it with -z noexecstack".to_owned(),
            ));
        }
        if kind == elf::PT_LOAD && is_executable && is_writable {
            return Err(Fault::Unsafe(
                "it has memory that is both writable and executable".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Checks what the library asks of the loader, and returns what it needs.
fn check_dynamic(file: &ElfFile64<'_, object::Endianness>) -> Result<Vec<String>, Fault> {
    let table = file
        .elf_dynamic_table()
        .map_err(|error| Fault::NotPlugin(format!("malformed dynamic section: {error}")))?;
    let mut needs = Vec::new();
    for entry in &table {
        if entry.tag == elf::DT_RPATH || entry.tag == elf::DT_RUNPATH {
            let what = "it names folders to load libraries from; link it without -rpath";
            return Err(Fault::Unsafe(what.to_owned()));
        }
        if entry.tag == elf::DT_TEXTREL {
            return Err(Fault::Unsafe(
                "its code must be changed to be loaded; build it with -fPIC".to_owned(),
            ));
        }
        if entry.tag == elf::DT_NEEDED {
            let name = table
                .string(entry)
                .map_err(|error| Fault::NotPlugin(format!("malformed dynamic section: {error}")))?;
            needs.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(needs)
}

/// The JSON text inside a note: `namesz`, `descsz`, `type`, name, text with a NUL at its end.
fn note_json(note: &[u8]) -> Result<&[u8], Fault> {
    let malformed = || Fault::NotPlugin("its manifest note is malformed".to_owned());
    let word = |at: usize| {
        let bytes = note.get(at..at + 4).ok_or_else(malformed)?;
        Ok::<_, Fault>(u32::from_le_bytes(bytes.try_into().map_err(|_| malformed())?))
    };
    let (name_size, desc_size, kind) = (word(0)?, word(4)?, word(8)?);
    if name_size != 4 || kind != NOTE_TYPE || note.get(12..16) != Some(&NOTE_NAME) {
        return Err(malformed());
    }
    let json = note.get(16..16 + desc_size as usize).ok_or_else(malformed)?;
    Ok(json.split(|byte| *byte == 0).next().unwrap_or_default())
}
