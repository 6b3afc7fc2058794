//! A certification authority for one relay, and the certificates that it issues.
//!
//! The keys are RSA: many a device knows nothing else. The authority is good for the relay's own
//! names and all IP addresses alone (RFC 5280 section 4.2.1.10), so that whoever steals its key
//! cannot pretend to be anybody's bank before the devices that trust it. RFC 5280 wants that
//! extension critical; it is not, for then devices that do not know it (those with mbed TLS, or
//! OpenSSL before 1.0.0) would refuse the authority as a whole. OpenSSL, rustls and Windows obey it
//! either way.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize, date_time_ymd,
};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5String, OctetString};
use x509_cert::der::{DecodePem as _, Encode as _};
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    self as x509, KeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use zeroize::Zeroizing;

use super::CertificatesError;
use super::names::{Name, Names};
use crate::web::moment::Moment;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the authority lasts. To trust another one is work at each device.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);

/// How long a server's certificate lasts, the day before included. Apple's verifier refuses one of
/// more than 825 days ("Requirements for trusted certificates in iOS 13 and macOS 10.15"); its 398
/// days are for authorities that come with the system ("About upcoming limits on trusted
/// certificates"). There is nobody to renew it by itself, so it lasts as long as it can.
const SERVER_LIFE: Duration = DAY.saturating_mul(824);

/// Names begin a day ago, for devices whose clocks are behind.
const CLOCK_SKEW: Duration = DAY;

/// Bits of the authority's key: it is in use for ten years, and BSI TR-02102-1 asks for 3,000 then.
const AUTHORITY_KEY: RsaKeySize = RsaKeySize::_3072;

/// Bits of a server's key: what every device takes.
const SERVER_KEY: RsaKeySize = RsaKeySize::_2048;

/// Longest host name in the authority's own name, which has 64 characters at most (RFC 5280 appendix
/// A.1, ub-common-name).
const HOST_LEN_MAX: usize = 32;

/// id-ce-nameConstraints (RFC 5280 section 4.2.1.10).
const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];

/// An authority, which can sign.
pub(super) struct Authority {
    pem: String,
    certificate: Certificate,
    key: KeyPair,
    /// The host names that it is good for, and those below them; none is all.
    permitted: Option<Vec<String>>,
}

/// A certificate that an authority has issued.
pub(super) struct Issued {
    /// PEM.
    pub(super) certificate: String,
    /// Its key (PEM, PKCS#8).
    pub(super) key: Zeroizing<String>,
    /// When it ends, since 1970.
    pub(super) ends_at: Duration,
}

/// What is wrong with an authority that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Certificate(&'static str),
    Key(&'static str),
}

impl Authority {
    /// A new one at `now`, good for `names`, on the machine `host`.
    pub(super) fn make(
        names: &Names,
        host: &str,
        now: Duration,
    ) -> Result<Self, CertificatesError> {
        let is_short = |host: &&str| (1..=HOST_LEN_MAX).contains(&host.len()) && host.is_ascii();
        let host = Some(host).filter(is_short).unwrap_or("relay");
        let mut params = CertificateParams::default();
        params.distinguished_name =
            common_name(&format!("mailbearer CA {host} {}", Moment::new(now).day()));
        set_validity(&mut params, now, now + AUTHORITY_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.custom_extensions = vec![constraints(names)?];
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, AUTHORITY_KEY)?;
        let pem = params.self_signed(&key)?.pem();
        Self::of(pem, key)
    }

    /// The one whose certificate and key (PEM) were kept.
    pub(super) fn read(pem: &str, key: &str, now: Duration) -> Result<Self, Flaw> {
        let key = KeyPair::from_pem(key).map_err(|_| Flaw::Key("holds no private key in PEM"))?;
        let authority = Self::of(pem.to_owned(), key)
            .map_err(|_| Flaw::Certificate("holds no certificate in PEM"))?;
        let parsed = authority.certificate.tbs_certificate();
        let public_key = &parsed.subject_public_key_info().subject_public_key;
        if public_key.raw_bytes() != rcgen::PublicKeyData::der_bytes(&authority.key) {
            return Err(Flaw::Key("is not the key of the authority beside it"));
        }
        if !authority.can_sign() {
            return Err(Flaw::Certificate("is no authority, but a certificate of a server"));
        }
        if authority.ends_at() <= now + CLOCK_SKEW {
            return Err(Flaw::Certificate("is an authority that has ended"));
        }
        Ok(authority)
    }

    fn of(pem: String, key: KeyPair) -> Result<Self, CertificatesError> {
        let certificate = Certificate::from_pem(pem.as_bytes())?;
        let permitted = permitted(&certificate)?;
        Ok(Self { pem, certificate, key, permitted })
    }

    /// Its certificate (PEM).
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate (DER).
    pub(super) fn der(&self) -> Result<Vec<u8>, CertificatesError> {
        Ok(self.certificate.to_der()?)
    }

    /// Its key (PEM, PKCS#8).
    pub(super) fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// When it ends, since 1970.
    pub(super) fn ends_at(&self) -> Duration {
        self.certificate.tbs_certificate().validity().not_after.to_unix_duration()
    }

    /// The host names that it is good for, if it is not for all.
    pub(super) fn permitted(&self) -> Option<&[String]> {
        self.permitted.as_deref()
    }

    /// Whether clients take certificates of it (RFC 5280 sections 4.2.1.9 and 4.2.1.3).
    fn can_sign(&self) -> bool {
        let parsed = self.certificate.tbs_certificate();
        let constraints = parsed.get_extension::<x509::BasicConstraints>();
        let is_authority = constraints.is_ok_and(|it| it.is_some_and(|(_, it)| it.ca));
        let usage = parsed.get_extension::<KeyUsage>();
        is_authority && usage.is_ok_and(|it| it.is_none_or(|(_, it)| it.key_cert_sign()))
    }

    /// A certificate for a server with these `names`, at `now`, that ends with the authority at the
    /// latest.
    pub(super) fn issue(&self, names: &Names, now: Duration) -> Result<Issued, CertificatesError> {
        let parsed = self.certificate.tbs_certificate();
        let subject = parsed.subject();
        let mut own = CertificateParams::default();
        let own_name = subject.common_name()?.map(|name| String::from(name.value()));
        own.distinguished_name = common_name(own_name.as_deref().unwrap_or_default());
        // Tools derive it from the key each in their own way, and clients compare it.
        if let Some((_, identifier)) = parsed.get_extension::<SubjectKeyIdentifier>()? {
            own.key_identifier_method = KeyIdMethod::PreSpecified(identifier.0.into_bytes().into());
        }
        let issuer = Issuer::from_params(&own, &self.key);

        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(texts)?;
        // Old clients look here alone. There is a name always: localhost at least.
        params.distinguished_name = common_name(names.of_hosts().next().unwrap_or_default());
        let ends_at = (now + SERVER_LIFE - CLOCK_SKEW).min(self.ends_at());
        set_validity(&mut params, now, ends_at);
        params.use_authority_key_identifier_extension = true;
        // Encipherment is for clients that look for it in every certificate with an RSA key.
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, SERVER_KEY)?;
        let issued = params.signed_by(&key, &issuer)?.pem();
        let made = Certificate::from_pem(issued.as_bytes())?;
        // An authority that somebody else made may have more in its name than we can repeat.
        if made.tbs_certificate().issuer() != subject {
            let problem = "the authority's name is not one that `mailbearer certificates` gives: \
                           name another directory with --out";
            return Err(CertificatesError::Make(problem.to_owned()));
        }
        Ok(Issued { certificate: issued, key: Zeroizing::new(key.serialize_pem()), ends_at })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut whole = DistinguishedName::new();
    // A name has 64 characters at most, and the subject is not what clients compare today.
    let short = name.get(..64).unwrap_or(name);
    whole.push(DnType::CommonName, short);
    whole
}

fn set_validity(params: &mut CertificateParams, now: Duration, ends_at: Duration) {
    let at = |since_1970: Duration| date_time_ymd(1970, 1, 1) + since_1970;
    params.not_before = at(Duration::from_secs(now.saturating_sub(CLOCK_SKEW).as_secs()));
    params.not_after = at(Duration::from_secs(ends_at.as_secs()));
}

/// The extension that says what an authority is good for.
fn constraints(names: &Names) -> Result<CustomExtension, CertificatesError> {
    let mut bases = Vec::new();
    for name in names.of_hosts() {
        bases.push(GeneralName::DnsName(Ia5String::new(name)?));
    }
    // Address and mask, both nothing but zeros: every address of the family.
    for whole_family in [&[0; 8][..], &[0; 32]] {
        bases.push(GeneralName::IpAddress(OctetString::new(whole_family)?));
    }
    let subtree = |base| GeneralSubtree { base, minimum: 0, maximum: None };
    let constraints = NameConstraints {
        permitted_subtrees: Some(bases.into_iter().map(subtree).collect()),
        excluded_subtrees: None,
    };
    let mut extension = CustomExtension::from_oid_content(&NAME_CONSTRAINTS, constraints.to_der()?);
    extension.set_criticality(false);
    Ok(extension)
}

/// The host names that the authority of `certificate` is good for, if it is not for all.
fn permitted(certificate: &Certificate) -> Result<Option<Vec<String>>, CertificatesError> {
    let found = certificate.tbs_certificate().get_extension::<NameConstraints>()?;
    let Some(subtrees) = found.and_then(|(_, constraints)| constraints.permitted_subtrees) else {
        return Ok(None);
    };
    let mut hosts = Vec::new();
    for subtree in subtrees {
        if let GeneralName::DnsName(name) = subtree.base {
            hosts.push(name.as_str().to_owned());
        }
    }
    Ok(Some(hosts))
}

/// The names in the certificate (PEM) of a server.
pub(super) fn names_in(pem: &str) -> Result<Vec<Name>, CertificatesError> {
    let certificate = Certificate::from_pem(pem.as_bytes())?;
    let found = certificate.tbs_certificate().get_extension::<SubjectAltName>()?;
    let mut names = Vec::new();
    for name in found.map(|(_, names)| names.0).unwrap_or_default() {
        if let GeneralName::DnsName(name) = &name {
            names.extend(Name::parse(name.as_str()));
        } else if let GeneralName::IpAddress(ip) = &name {
            names.extend(address(ip.as_bytes()).map(Name::Ip));
        }
    }
    Ok(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
