//! The modules in Fluvio's engine. One program, as each takes as long to build as all its tests.

mod engine;
mod handing_over;
mod moments;
mod own_modules;
mod support;
