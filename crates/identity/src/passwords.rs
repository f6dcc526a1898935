//! Passwords: what is good enough, and the slow hash that is kept.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Fewest characters of a password.
pub(crate) const SHORTEST: usize = 10;
/// Longest password in bytes, so that hashing cannot be made to take for ever.
pub(crate) const LONGEST: usize = 1024;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("a password has at least {SHORTEST} characters")]
    TooShort,
    #[error("a password has at most {LONGEST} bytes")]
    TooLong,
    #[error("a password is not one character repeated, nor a row of neighbours like 1234567890")]
    Simple,
    #[error("a password is not the operator's name")]
    Name,
}

/// Hashes and checks passwords. Each call takes about a tenth of a second and 32 MiB: call it off the asynchronous
/// threads and few at a time.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Checked against where there is no operator or no password, so that both take the same time.
    decoy: String,
}

impl Passwords {
    /// With the costs of production: 32 MiB, twice over.
    pub fn new() -> Passwords {
        Passwords::with_costs(32 * 1024, 2)
    }

    /// With other costs; tests use small ones.
    pub fn with_costs(memory_kib: u32, passes: u32) -> Passwords {
        let params = Params::new(memory_kib, passes, 1, None).expect("the costs are within argon2's limits");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, crate::Secret::generate("").reveal());
        Passwords { argon2, decoy }
    }

    /// The hash to keep, with its salt and costs, of a password that is good enough for `name`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn hash(&self, name: &str, password: &str) -> Result<String, WeakPassword> {
        check(name, password)?;
        Ok(hash(&self.argon2, password))
    }

    /// Whether `password` is the one with this hash. Takes the same time without a hash, and is false then.
    pub fn verify(&self, password: &str, kept: Option<&str>) -> bool {
        let kept_hash = kept.and_then(|text| PasswordHash::new(text).ok());
        let decoy = PasswordHash::new(&self.decoy).expect("the decoy was made here");
        let hash = kept_hash.as_ref().unwrap_or(&decoy);
        let right = password.len() <= LONGEST && self.argon2.verify_password(password.as_bytes(), hash).is_ok();
        right && kept_hash.is_some()
    }
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords::new()
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> String {
    argon2.hash_password(password.as_bytes()).expect("argon2 takes every input of this length").to_string()
}

fn check(name: &str, password: &str) -> Result<(), WeakPassword> {
    if password.chars().count() < SHORTEST {
        return Err(WeakPassword::TooShort);
    }
    if password.len() > LONGEST {
        return Err(WeakPassword::TooLong);
    }
    if password.trim().to_lowercase() == name.trim().to_lowercase() {
        return Err(WeakPassword::Name);
    }
    let codes: Vec<i64> = password.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = codes.windows(2).filter(|w| !matches!(w[1] - w[0], -1..=1)).count();
    // "1234567890" and "0987654321" have one step that is not to a neighbour.
    if steps <= 1 { Err(WeakPassword::Simple) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_a_salted_hash() {
        let passwords = Passwords::with_costs(8, 1);
        let (a, b) = (passwords.hash("ada", "correct horse").unwrap(), passwords.hash("ada", "correct horse").unwrap());
        assert_ne!(a, b);
        assert!(a.starts_with("$argon2id$v=19$m=8,t=1,p=1$") && !a.contains("correct"));
        assert!(passwords.verify("correct horse", Some(&a)));
        assert!(!passwords.verify("correct horsf", Some(&a)));
        assert!(!passwords.verify("", Some(&a)));
        assert!(!passwords.verify("correct horse", Some("damaged")));
        assert!(!passwords.verify("correct horse", None));
    }

    #[test]
    fn weak_passwords_are_told_why() {
        let passwords = Passwords::with_costs(8, 1);
        for (password, why) in [
            ("short", WeakPassword::TooShort),
            ("ééééééééé", WeakPassword::TooShort),
            ("aaaaaaaaaaaa", WeakPassword::Simple),
            ("1234567890", WeakPassword::Simple),
            ("abcdefghijkl", WeakPassword::Simple),
            ("Ada Lovelace", WeakPassword::Name),
            (&"x".repeat(1025), WeakPassword::TooLong),
        ] {
            assert_eq!(passwords.hash("ada lovelace", password), Err(why), "{password}");
        }
    }

    /// The work is counted in processor time of this thread, which other work on the machine does not change.
    #[test]
    fn an_unknown_name_takes_as_much_work_as_a_known_one() {
        let passwords = Passwords::with_costs(4096, 2);
        let kept = passwords.hash("ada", "correct horse").unwrap();
        let work = |kept: Option<&str>| {
            let before = cpu_ticks();
            for _ in 0..8 {
                assert!(!passwords.verify("wrong password", kept));
            }
            cpu_ticks() - before
        };
        let (known, unknown, damaged) = (work(Some(&kept)), work(None), work(Some("damaged")));
        for other in [unknown, damaged] {
            let ratio = other / known;
            assert!((0.5..2.0).contains(&ratio), "known {known}, unknown {unknown}, damaged {damaged}");
        }
    }

    fn cpu_ticks() -> f64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }
}
