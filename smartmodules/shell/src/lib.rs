//! Batch-level exports for SmartModules under the processor contract.
