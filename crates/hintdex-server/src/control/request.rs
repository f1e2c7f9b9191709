//! A command that another process has sent, with what it runs on.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::caller::Caller;
use super::frame::{Body, Frame, invalid, put_bytes};
use super::streams::{CallerInput, CallerOutput};

/// The descriptors of every command: three streams, the working folder and the root.
const DESCRIPTORS: usize = 5;

/// The most arguments of a command.
const MAX_ARGUMENTS: u32 = 1 << 18;

/// A command that another process has sent.
///
/// See the [example of the module](super).
pub struct Request<'a> {
    caller: Caller<'a>,
    arguments: Vec<OsString>,
    stdin: File,
    stdout: File,
    stderr: File,
    folder: OwnedFd,
    root: OwnedFd,
    secrets: Vec<OwnedFd>,
}

/// The body of the message with these arguments.
pub(crate) fn to_body(arguments: &[OsString]) -> Vec<u8> {
    let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    let mut body = count.to_be_bytes().to_vec();
    arguments.iter().for_each(|argument| put_bytes(&mut body, argument.as_bytes()));
    body
}

impl<'a> Request<'a> {
    pub(super) fn parse(frame: Frame, caller: Caller<'a>) -> io::Result<Self> {
        let arguments = arguments_of(&frame.body);
        let arguments =
            arguments.ok_or_else(|| invalid("the arguments of a command are cut off"))?;
        let mut descriptors = frame.descriptors;
        let secrets = descriptors.split_off(DESCRIPTORS.min(descriptors.len()));
        let Ok([stdin, stdout, stderr, folder, root]) = <[OwnedFd; 5]>::try_from(descriptors)
        else {
            return Err(invalid("a command came without its streams"));
        };
        let [stdin, stdout, stderr] = [stdin, stdout, stderr].map(File::from);
        Ok(Self { caller, arguments, stdin, stdout, stderr, folder, root, secrets })
    }

    /// The command line, with the name of the program in front.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// The standard input of the caller.
    pub fn stdin(&self) -> CallerInput<'_> {
        CallerInput { caller: &self.caller, file: &self.stdin }
    }

    /// The standard output of the caller.
    pub fn stdout(&self) -> CallerOutput<'_> {
        CallerOutput { caller: &self.caller, file: &self.stdout }
    }

    /// The standard error of the caller.
    pub fn stderr(&self) -> CallerOutput<'_> {
        CallerOutput { caller: &self.caller, file: &self.stderr }
    }

    /// The file behind the standard error, to ask whether it is a terminal.
    pub const fn stderr_file(&self) -> &File {
        &self.stderr
    }

    /// The length of the standard input, if it is a regular file.
    pub fn stdin_len_bytes(&self) -> Option<u64> {
        let metadata = self.stdin.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// The path by which this process opens the file that the caller calls `path`: through the
    /// root or the working folder of the caller, which may differ from those of this process.
    ///
    /// A path such as `/dev/fd/63` names a descriptor of the process that opens it, so it has no
    /// such path: `None`. Standard input is known.
    pub fn path(&self, path: &Path) -> Option<PathBuf> {
        let of = |descriptor: i32| PathBuf::from(format!("{OWN}{descriptor}"));
        if ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].map(Path::new).contains(&path) {
            return Some(of(self.stdin.as_raw_fd()));
        }
        if OF_PROCESS.iter().any(|of_process| path.starts_with(of_process)) {
            return None;
        }
        match path.strip_prefix("/") {
            Ok(inner) => Some(of(self.root.as_raw_fd()).join(inner)),
            Err(_) => Some(of(self.folder.as_raw_fd()).join(path)),
        }
    }

    /// The path of a secret that the caller has read, by its place in
    /// [`Call::secrets`](super::Call::secrets). It can be read once.
    pub fn secret(&self, place: usize) -> Option<PathBuf> {
        let secret = self.secrets.get(place)?;
        Some(PathBuf::from(format!("{OWN}{}", secret.as_raw_fd())))
    }

    /// `text` with the paths of [`path`](Self::path) as the caller wrote them.
    pub fn in_words_of_caller(&self, text: &str) -> String {
        let mut said = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once(OWN) {
            said.push_str(before);
            let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = behind.split_at(digits);
            let number: Option<i32> = number.parse().ok();
            let inner = behind.strip_prefix('/');
            rest = inner.unwrap_or(behind);
            match number {
                Some(number) if number == self.root.as_raw_fd() => said.push('/'),
                Some(number) if number == self.folder.as_raw_fd() => {
                    said.push_str(if inner.is_some() { "" } else { "." });
                }
                Some(number) if number == self.stdin.as_raw_fd() => said.push_str("/dev/stdin"),
                _ => {
                    said.push_str(OWN);
                    rest = text.get(text.len() - behind.len() - digits..).unwrap_or_default();
                }
            }
        }
        said + rest
    }
}

/// The folder of the descriptors of the process that looks.
const OWN: &str = "/proc/self/fd/";

/// The folders and files that are others for each process.
const OF_PROCESS: [&str; 6] =
    ["/dev/fd", "/dev/stdout", "/dev/stderr", "/dev/tty", "/proc/self", "/proc/thread-self"];

/// The arguments in the body of a message; `None` if it is cut off or has too many.
pub(crate) fn arguments_of(body: &[u8]) -> Option<Vec<OsString>> {
    let mut body = Body(body);
    let count = body.number().filter(|count| *count <= MAX_ARGUMENTS)?;
    let argument = |_| body.bytes().map(|bytes| OsStr::from_bytes(bytes).to_owned());
    (0..count).map(argument).collect()
}
