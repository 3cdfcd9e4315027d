//! Why a broker does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a broker failed to start. Texts are endings of "failed to start the broker: ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program listens there.
    #[error("{address} is in use by another program")]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Clients cannot connect to an unspecified address.
    #[error("{address} is no address that clients can reach: give the one to advertise")]
    NothingToAdvertise {
        /// The data address asked for.
        address: SocketAddr,
    },
    /// The data folder cannot be created, read or written.
    #[error("cannot write to the data folder {}: {source}", path.display())]
    DataNotWritable {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has the data folder.
    #[error("the data folder {} is in use by another broker", path.display())]
    DataLocked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the data folder holds something else than it should.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}
