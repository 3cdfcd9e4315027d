//! The gateway, from outside. What measures memory is a program of its own: `idle`. One program, as each takes as long to build as all its tests.

mod feed;
mod moments;
mod mutations;
mod serve;
mod stage;
