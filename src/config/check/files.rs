//! The files that a configuration names.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Check, KeyPath, Mistake};

/// No secret, key or certificate is larger; what is, is not one.
const MOST_BYTES: u64 = 1 << 20;

/// So much has a list of some 150 000 revoked certificates. All of it is hashed in every handshake that shows one.
const MOST_BYTES_OF_LISTS: u64 = 8 << 20;

const READABLE: &str = "make it readable, or correct the path; relative paths begin at the configuration file";

impl Check<'_> {
    /// The path as the process opens it: relative ones begin at the directory of the configuration file.
    pub(super) fn located(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// The contents of a file.
    pub(super) fn read(&mut self, at: &KeyPath, path: &Path) -> Option<Vec<u8>> {
        self.read_or(at, path, READABLE)
    }

    /// The same with another remedy for a file that cannot be read.
    pub(super) fn read_or(&mut self, at: &KeyPath, path: &Path, remedy: &'static str) -> Option<Vec<u8>> {
        self.read_at_most(at, path, MOST_BYTES, remedy)
    }

    /// The contents of a file with lists of revoked certificates.
    pub(super) fn read_lists(&mut self, at: &KeyPath, path: &Path) -> Option<Vec<u8>> {
        self.read_at_most(at, path, MOST_BYTES_OF_LISTS, READABLE)
    }

    fn read_at_most(&mut self, at: &KeyPath, path: &Path, most: u64, remedy: &'static str) -> Option<Vec<u8>> {
        let path = self.located(path);
        self.report.depends_on(path.clone());
        self.accept(at, contents(&path, most, remedy))
    }

    /// A PEM file with at least one certificate.
    pub(super) fn certificate_authorities(&mut self, at: &KeyPath, path: &Path) -> Option<Vec<u8>> {
        let pem = self.read(at, path)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let usable = certificates.is_ok_and(|certificates| !certificates.is_empty());
        let mistake =
            || Mistake::new("is not a PEM file with certificates", "export the authority's certificate as PEM");
        self.accept(at, usable.then_some(pem).ok_or_else(mistake))
    }

    /// The path of a PEM file with a certificate, which those of its issuers may follow.
    pub(super) fn certificate_chain(&mut self, at: &KeyPath, path: &Path) -> Option<PathBuf> {
        let remedy = "name the PEM file of the certificate, which those of its issuers may follow";
        self.pem::<CertificateDer<'_>>(at, path, "certificate", remedy)
    }

    /// The path of a PEM file with a private key.
    pub(super) fn private_key(&mut self, at: &KeyPath, path: &Path) -> Option<PathBuf> {
        self.pem::<PrivateKeyDer<'_>>(at, path, "private key", "name the PEM file of the certificate's private key")
    }

    fn pem<T: PemObject>(&mut self, at: &KeyPath, path: &Path, what: &str, remedy: &str) -> Option<PathBuf> {
        let pem = self.read(at, path)?;
        let path = self.located(path);
        let found = T::from_pem_slice(&pem).map(|_| path.clone());
        let mistake = |_| Mistake::new(format!("names {}, which holds no {what} in PEM", path.display()), remedy);
        self.accept(at, found.map_err(mistake))
    }

    /// A directory that exists.
    pub(super) fn directory(&mut self, at: &KeyPath, path: &Path) -> Option<PathBuf> {
        let path = self.located(path);
        let exists = match fs::read_dir(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(unreadable(&path, &error, "make it readable, or correct the path")),
        };
        self.accept(at, exists)
    }

    /// A directory that exists, or that can be made at start.
    pub(super) fn future_directory(&mut self, at: &KeyPath, path: &Path) -> Option<PathBuf> {
        let path = self.located(path);
        let free = if path.exists() && !path.is_dir() {
            Err(Mistake::new(format!("{} is not a directory", path.display()), "name a directory"))
        } else {
            Ok(path)
        };
        self.accept(at, free)
    }
}

fn contents(path: &Path, most: u64, remedy: &'static str) -> Result<Vec<u8>, Mistake> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error, remedy))?;
    if bytes.len() as u64 > most {
        let message = format!("{} is larger than {} MiB", path.display(), most >> 20);
        return Err(Mistake::new(message, "name the right file"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error, remedy: &'static str) -> Mistake {
    let remedy = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "let the user that usher runs as read it: chown, or chgrp and chmod 0640"
        }
        _ => remedy,
    };
    Mistake::new(format!("names {}, which cannot be read: {error}", path.display()), remedy)
}
