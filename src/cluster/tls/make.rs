//! Certificates for trials.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use datafusion::common::{DataFusionError, Result, config_err, exec_datafusion_err};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::ServerName;
use uuid::Uuid;

/// How long they are good for, in days.
pub const CERTIFICATE_DAYS: u32 = 90;

/// Clocks differ: they are good from a day ago.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every machine calls itself so.
const NEAR: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes an authority and a certificate for each kind of process, in a new `folder`: `ca`, `scheduler`,
/// `executor` and `client`, each as `.pem` with its private key in `.key`. Those of scheduler and executor are
/// for `hosts`, names or addresses, and this machine.
///
/// They are for trials: the authority's key lies next to what it has signed, without a password; all executors
/// share one key; nothing takes a certificate back before it ends by itself, after [`CERTIFICATE_DAYS`].
///
/// # Errors
/// When one of these files is there already, or a host is neither name nor address.
pub fn make_certificates(folder: &Path, hosts: &[String]) -> Result<PathBuf> {
    let machine = named(hosts)?;
    std::fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))?;
    let mut params = CertificateParams::default();
    // Two authorities of the same name would be mistaken for each other.
    let name = format!("featurize: authority for trials {}", Uuid::now_v7());
    describe(&mut params, &name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(|e| failed(&e))?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(|e| failed(&e))?;
    write(folder, "ca", &authority.pem(), authority.key())?;
    for (name, is_machine) in [("scheduler", true), ("executor", true), ("client", false)] {
        // A client is reached by nobody, and has no name.
        let mut params = match is_machine {
            true => machine.clone(),
            false => CertificateParams::default(),
        };
        describe(&mut params, &format!("featurize: {name}"))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // What is good for a server is a machine of the cluster.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if is_machine {
            params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate().map_err(|e| failed(&e))?;
        let signed = params.signed_by(&key, &authority).map_err(|e| failed(&e))?;
        write(folder, name, &signed.pem(), &key)?;
    }
    Ok(folder.to_path_buf())
}

fn named(hosts: &[String]) -> Result<CertificateParams> {
    for host in hosts {
        // Whoever is connected to is asked for under such a name: without blanks, letters of other alphabets or `*`.
        if ServerName::try_from(host.as_str()).is_err() {
            return config_err!(
                "'{}' is neither the name nor the address of a host: expected such as worker1.example or 10.0.0.9",
                host.escape_debug()
            );
        }
    }
    let near = NEAR.iter().map(ToString::to_string);
    let names: Vec<_> = hosts.iter().cloned().chain(near).collect();
    CertificateParams::new(names).map_err(|e| failed(&e))
}

fn describe(params: &mut CertificateParams, name: &str) -> Result<()> {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    params.distinguished_name = names;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_err(|e| exec_datafusion_err!("this machine's clock is before 1970: {e}"))?;
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + DAY * CERTIFICATE_DAYS;
    Ok(())
}

/// Never over another file.
fn write(folder: &Path, name: &str, certificate: &str, key: &KeyPair) -> Result<()> {
    let create = |name: String, text: &str, is_secret: bool| {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if is_secret {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| unwritable(&path, &e))
    };
    create(format!("{name}.key"), &key.serialize_pem(), true)?;
    create(format!("{name}.pem"), certificate, false)
}

fn unwritable(path: &Path, error: &std::io::Error) -> DataFusionError {
    exec_datafusion_err!("could not write '{}': {error}", path.display())
}

fn failed(error: &rcgen::Error) -> DataFusionError {
    exec_datafusion_err!("could not make a certificate: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tls::TlsFiles;

    #[test]
    fn they_fit_each_other_and_nothing_is_written_over() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("certs");
        let hosts = ["worker1".to_owned(), "10.0.0.9".to_owned()];
        make_certificates(&folder, &hosts).unwrap();
        for name in ["scheduler", "executor", "client"] {
            let files = TlsFiles {
                ca: folder.join("ca.pem"),
                cert: folder.join(format!("{name}.pem")),
                key: folder.join(format!("{name}.key")),
            };
            files.read().unwrap();
        }
        let error = make_certificates(&folder, &hosts).unwrap_err().to_string();
        assert!(error.contains("ca.key"), "{error}");
    }

    #[test]
    fn what_is_no_host_is_refused_before_anything_is_written() {
        let parent = tempfile::tempdir().unwrap();
        for (bad, shown) in [
            ("", "''"),
            (" ", "' '"),
            ("two words", "'two words'"),
            ("*", "'*'"),
            ("*.example", "'*.example'"),
            ("näme", "'näme'"),
            ("a\u{7}b", "'a\\u{7}b'"),
            ("a\nb", "'a\\nb'"),
            ("https://host", "'https://host'"),
            ("host:50050", "'host:50050'"),
        ] {
            let folder = parent.path().join("certs");
            let hosts = ["worker1".to_owned(), bad.to_owned()];
            let error = make_certificates(&folder, &hosts).unwrap_err().to_string();
            assert!(error.contains(&format!("{shown} is neither")), "{error}");
            assert!(!folder.exists(), "{bad}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path(), &[]).unwrap();
        let mut keys = 0;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "key") {
                let mode = path.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{}", path.display());
                keys += 1;
            }
        }
        assert_eq!(keys, 4);
    }
}
