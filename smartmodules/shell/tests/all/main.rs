//! What a module is made of, through the bytes of the engine. One program, as each takes as long to build as all its tests.

mod contract;
mod numbering;
mod packing;
