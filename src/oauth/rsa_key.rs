//! A private RSA key, what PS256 and RS256 take (RFC 7518 sections 3.3 and 3.5).
//!
//! In:  PEM of PKCS#8 (RFC 5958) or PKCS#1 (RFC 8017 appendix A.1.2).
//! Out: a key of [`BITS`] that signs, or why it is none.

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use jsonwebtoken::EncodingKey;
use rustls::pki_types::PrivateKeyDer;
use x509_cert::der::asn1::{AnyRef, OctetStringRef, UintRef};
use x509_cert::der::{self, Reader, SliceReader};
use x509_cert::spki::{AlgorithmIdentifierRef, ObjectIdentifier};
use zeroize::Zeroizing;

use super::key_problem::Flaw;
use super::pem;

/// `rsaEncryption` (RFC 8017 appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Sizes that are taken, in bits of the modulus: RFC 7518 section 3.3 wants 2048, and aws-lc takes
/// no more than 8192.
const BITS: RangeInclusive<usize> = 2048..=8192;

/// How an RSA key is made.
pub(super) const MAKE_RSA: &str = "make an RSA key with a certificate: openssl req -x509 -newkey rsa:3072 -nodes -keyout app.key \
     -out app.pem -days 730 -subj /CN=mailbearer";

/// A private RSA key.
pub(super) struct RsaKey {
    /// PKCS#1.
    der: Zeroizing<Vec<u8>>,
    /// The public key, likewise.
    public: Vec<u8>,
}

impl RsaKey {
    /// The first key in the PEM `text`.
    ///
    /// # Errors
    /// When there is none, or it is no RSA key that can be used.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let key = pem::private_key(text)?;
        let der = match &*key {
            PrivateKeyDer::Pkcs8(key) => pkcs1_in(key.secret_pkcs8_der())?,
            PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
            PrivateKeyDer::Sec1(_) => return Err(ec_key()),
            _ => return Err(no_rsa_key()),
        };
        let bits = bits_of(der).map_err(|_| damaged())?;
        if !BITS.contains(&bits) {
            let problem = format!("has {bits} bits, and RSA keys of 2048 to 8192 are taken");
            return Err(Flaw::lasting(problem, MAKE_RSA));
        }
        let pair = RsaKeyPair::from_der(der).map_err(|_| damaged())?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { der: Zeroizing::new(der.to_vec()), public })
    }

    /// The public key (RFC 8017 appendix A.1.1, DER).
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// What signs.
    pub(super) fn encoding_key(&self) -> EncodingKey {
        EncodingKey::from_rsa_der(&self.der)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey([REDACTED])")
    }
}

/// The PKCS#1 key inside of a PKCS#8 one.
fn pkcs1_in(pkcs8: &[u8]) -> Result<&[u8], Flaw> {
    let (algorithm, key) = parts_of(pkcs8).map_err(|_| damaged())?;
    match algorithm {
        RSA => Ok(key),
        EC => Err(ec_key()),
        _ => Err(no_rsa_key()),
    }
}

/// `privateKeyAlgorithm` and `privateKey` (RFC 5958 section 2).
fn parts_of(pkcs8: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
    SliceReader::new(pkcs8)?.sequence(|reader| {
        let _version: u8 = reader.decode()?;
        let algorithm: AlgorithmIdentifierRef<'_> = reader.decode()?;
        let key: &OctetStringRef = reader.decode()?;
        skip(reader)?; // attributes, which are optional
        Ok((algorithm.oid, key.as_bytes()))
    })
}

/// The length of the modulus of a PKCS#1 key.
fn bits_of(pkcs1: &[u8]) -> der::Result<usize> {
    SliceReader::new(pkcs1)?.sequence(|reader| {
        let _version: u8 = reader.decode()?;
        let modulus: UintRef<'_> = reader.decode()?;
        skip(reader)?;
        let bytes = modulus.as_bytes();
        let leading = bytes.first().map_or(0, |byte| byte.leading_zeros());
        Ok((bytes.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0)))
    })
}

/// Passes over what is left.
fn skip<'r>(reader: &mut impl Reader<'r>) -> der::Result<()> {
    while !reader.is_finished() {
        let _: AnyRef<'_> = reader.decode()?;
    }
    Ok(())
}

fn damaged() -> Flaw {
    Flaw::halfway("is damaged", "export the key again")
}

fn ec_key() -> Flaw {
    Flaw::lasting("is an EC key, and PS256 and RS256 are signed by RSA alone", MAKE_RSA)
}

fn no_rsa_key() -> Flaw {
    Flaw::lasting("is no RSA key, and PS256 and RS256 are signed by RSA alone", MAKE_RSA)
}
