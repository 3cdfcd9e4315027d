//! Windows over record time: assigner, watermark, emission, checkpoint.
#![forbid(unsafe_code)]
