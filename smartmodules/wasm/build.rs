//! Builds the SmartModules to WASM with the same cargo, so that their bytes can be embedded.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-unknown-unknown";
const MODULES: [&str; 7] = ["validate", "window", "moments", "fence", "word-count", "number", "room"];
/// Those of `examples/smartmodules`, built as their readers build them. Only tests embed them.
const EXAMPLES: [&str; 2] = ["long-words", "running-total"];
/// Crates whose change makes the bytes stale, beside the modules themselves.
const SHARED: [&str; 4] = ["reaction", "windowing", "shell", "processor"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            println!("cargo::error={sentence}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let variable = |name: &str| env::var(name).map_err(|_| format!("cargo did not set {name}"));
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let smartmodules = manifest.parent().ok_or("this crate is not in smartmodules/")?;
    let root = smartmodules.parent().ok_or("smartmodules/ is not in the workspace")?;

    let examples = root.join("examples/smartmodules");
    let own = MODULES.iter().chain(&SHARED).map(|name| smartmodules.join(name));
    for folder in own.chain(EXAMPLES.map(|name| examples.join(name))) {
        println!("cargo::rerun-if-changed={}", folder.join("src").display());
        println!("cargo::rerun-if-changed={}", folder.join("Cargo.toml").display());
    }
    for file in ["build.rs", "data"] {
        println!("cargo::rerun-if-changed={}", smartmodules.join("reaction").join(file).display());
    }
    println!("cargo::rerun-if-changed={}", root.join("Cargo.toml").display());

    check_target(&variable("RUSTC")?)?;
    // One folder for every profile of the host: the modules are built once, not once a profile.
    let target_dir = out.ancestors().nth(4).ok_or("OUT_DIR is not in a target folder")?.join("smartmodules");
    let packages: Vec<String> =
        MODULES.iter().map(|name| format!("ovation-{name}")).chain(EXAMPLES.map(str::to_owned)).collect();
    run_cargo(&variable("CARGO")?, root, &target_dir, &packages)?;

    for package in packages {
        let file = format!("{}.wasm", package.replace('-', "_"));
        let built = target_dir.join(TARGET).join("wasm").join(&file);
        std::fs::copy(&built, out.join(&file))
            .map_err(|error| format!("failed to copy {}: {error}", built.display()))?;
    }
    Ok(())
}

fn check_target(rustc: &str) -> Result<(), String> {
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("failed to run {rustc}: {error}"))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    Err(format!("the Rust target {TARGET} is missing; add it with: rustup target add {TARGET}"))
}

fn run_cargo(cargo: &str, root: &Path, target_dir: &Path, packages: &[String]) -> Result<(), String> {
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--profile", "wasm", "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir);
    for package in packages {
        command.args(["-p", package]);
    }
    // What the outer build set for the host (clippy's wrapper, its flags) is not meant for the modules.
    for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR", "RUSTC"] {
        command.env_remove(name);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags().join("\x1f"));
    let output = command.output().map_err(|error| format!("failed to run {cargo}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err("failed to build the SmartModules; the compiler's words are above".to_owned())
}

fn flags() -> Vec<String> {
    // A module's name on the broker holds a hash of its bytes: the same sources give the same name on every machine, so the
    // place of the crates' sources must not show in them.
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let places = home.map(|home| format!("--remap-path-prefix={home}=/cargo"));
    // Copies and comparisons go by 16 bytes: the engine counts fuel at every turn of a loop. Fluvio's engine knows it by default.
    // It counts calls too, so that more is worth being inlined than on a machine: 4 to 7 % of a record, for 6 % more of a module.
    let engine = ["-Ctarget-feature=+simd128", "-Cllvm-args=-inline-threshold=500"].map(str::to_owned);
    places.into_iter().chain(engine).collect()
}
