//! A part of the bench as a process of its own: started, listened to, measured from outside, ended by its id.
//!
//! Its standard input is the leash: a part ends when that ends, so none outlives the parent, however the parent dies.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longest that a part may take for a step on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Longest that a part may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How often a part that is to end is looked at, where nothing can wait for it.
const END_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A process is quiet that takes no more than so much time on a processor in so long.
const QUIET_INTERVAL: Duration = Duration::from_millis(500);
const QUIET_TIME: Duration = Duration::from_millis(20);

/// A running part.
pub(crate) struct Process {
    role: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// The process that is measured: the part itself, or one that it started.
    measured: u32,
}

impl Process {
    /// Starts this program again as `role`.
    pub(crate) fn start(role: &'static str, args: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--role", role])
            .args(args.iter().flat_map(|(flag, value)| [flag, value]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let measured = child.id().unwrap();
        Self { role, child, input, lines, measured }
    }

    /// Waits for the line that begins with `word`; what follows it there.
    pub(crate) async fn heard(&mut self, word: &str) -> String {
        let waiting = tokio::time::timeout(PATIENCE, self.lines.next_line());
        let line = waiting.await.unwrap_or_else(|_| panic!("{}: no {word:?} for {PATIENCE:?}", self.role));
        let line = line.unwrap().unwrap_or_else(|| panic!("{}: ended before {word:?}", self.role));
        let rest = line.strip_prefix(word).unwrap_or_else(|| panic!("{}: {line}", self.role));
        rest.trim().to_owned()
    }

    /// Measures the process `id`, which the part has started, instead of the part.
    pub(crate) fn measure(&mut self, id: u32) {
        self.measured = id;
    }

    /// Writes to the part.
    pub(crate) async fn tell(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).await.unwrap();
        input.flush().await.unwrap();
    }

    /// Time on a processor so far, of all its threads, in user space and in the kernel.
    pub(crate) fn cpu(&self) -> Duration {
        let id = i32::try_from(self.measured).unwrap();
        clock_getcpuclockid(Pid::from_raw(id)).and_then(clock_gettime).unwrap().into()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        resident(self.measured)
    }

    /// The process that is measured.
    pub(crate) fn id(&self) -> u32 {
        self.measured
    }

    /// Waits until it has nothing to do any more: until it takes hardly any time on a processor.
    pub(crate) async fn quiet(&self) {
        let quiet = async {
            let mut before = self.cpu();
            loop {
                tokio::time::sleep(QUIET_INTERVAL).await;
                let now = self.cpu();
                if now - before <= QUIET_TIME {
                    return;
                }
                before = now;
            }
        };
        let waiting = tokio::time::timeout(PATIENCE, quiet).await;
        waiting.unwrap_or_else(|_| panic!("{}: does not get quiet", self.role));
    }

    /// Ends the part in order, and waits for that.
    pub(crate) async fn end(mut self) {
        drop(self.input.take());
        // What it still has to say is nobody's business any more, but it must not wait to say it.
        let ended = async {
            while let Ok(Some(_)) = self.lines.next_line().await {}
            self.child.wait().await
        };
        if tokio::time::timeout(END_PATIENCE, ended).await.is_err() {
            println!("{}: did not end by itself", self.role);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if since.elapsed() > END_PATIENCE {
                // By its id; an error says that it has just ended.
                let _ = self.child.start_kill();
                return;
            }
            std::thread::sleep(END_LOOK_INTERVAL);
        }
    }
}

/// Resident memory of the process `id`, in bytes.
pub(crate) fn resident(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() * 1024
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Without a parent there is nobody to be told, and nothing left to do.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Calls `then` when the parent has nothing more to say, or is gone.
pub(crate) fn at_end_of_input(then: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        then();
    });
}
