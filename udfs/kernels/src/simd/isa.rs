//! Which instruction set to use.

use std::sync::LazyLock;

use crate::error::{KernelError, Result};

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::{Simd, kernel::Kernel, portable::Portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};

const VARIABLE: &str = "FEATURIZE_KERNELS_ISA";

/// An instruction set that the kernels are written for.
///
/// All but [`Isa::Portable`] give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// AVX-512F on x86-64.
    Avx512,
    /// AVX2 with FMA on x86-64.
    Avx2,
    /// NEON on 64-bit ARM.
    Neon,
    /// Plain Rust, on any machine. Multiplies and adds are rounded separately where the compiler
    /// cannot assume a fused instruction, so the last bits may differ from the other sets.
    Portable,
}

impl Isa {
    /// Every instruction set, fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Name in the environment variable `FEATURIZE_KERNELS_ISA`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// True if this machine can run it.
    pub fn is_available(self) -> bool {
        self.arch().is_ok()
    }

    /// The fastest instruction set of this machine, unless the environment variable
    /// `FEATURIZE_KERNELS_ISA` names another. It rules the loops of this workspace: faer, which multiplies and
    /// decomposes matrices for `pca_fit`, takes the best that the machine has, whatever the variable says.
    ///
    /// # Errors
    /// [`KernelError::Setting`] if the variable names no instruction set, or one that this machine
    /// lacks.
    pub fn detect() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(name) => Self::from_name(&name),
            Err(std::env::VarError::NotPresent) => Ok(Self::ALL
                .into_iter()
                .find(|isa| isa.is_available())
                .unwrap_or(Self::Portable)),
            Err(error) => Err(setting(error.to_string())),
        }
    }

    fn from_name(name: &str) -> Result<Self> {
        let isa = Self::ALL
            .into_iter()
            .find(|isa| isa.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                setting(format!("{name:?} is not one of {names}"))
            })?;
        isa.arch().map(|_| isa)
    }

    /// The proof that this machine has the instruction set.
    pub(crate) fn arch(self) -> Result<Arch> {
        let arch = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::new().map(Arch::Avx512),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().map(Arch::Avx2),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().map(Arch::Neon),
            Self::Portable => Some(Arch::Portable(Portable)),
            _ => None,
        };
        arch.ok_or_else(|| {
            setting(format!(
                "this machine lacks {}; unset the variable or name another set",
                self.name()
            ))
        })
    }
}

fn setting(reason: String) -> KernelError {
    KernelError::Setting {
        setting: VARIABLE,
        reason,
    }
}

/// Runs `work`, compiled for the instruction set that [`Isa::detect`] chooses: a closure, marked
/// `#[inline(always)]`, of loops that the compiler turns into vector instructions. Only their width
/// differs: plain Rust rounds alike on every instruction set.
///
/// If the environment variable names a set that there is not, `work` runs as portable code; a caller that
/// can fail asks [`Isa::detect`] first.
pub fn vectorize(work: impl FnOnce()) {
    static ARCH: LazyLock<Arch> = LazyLock::new(|| {
        let arch = Isa::detect().and_then(Isa::arch);
        arch.unwrap_or(Arch::Portable(Portable))
    });
    ARCH.run(Loops(work));
}

/// Plain Rust as a [`Kernel`].
struct Loops<F>(F);

impl<F: FnOnce()> Kernel for Loops<F> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        (self.0)();
    }
}

/// An instruction set that this machine was found to have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arch {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Portable(Portable),
}

impl Arch {
    /// Runs `kernel` compiled for this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => simd.run(kernel),
            Self::Portable(simd) => kernel.run(simd),
        }
    }

    /// [`Simd::GEMM_ROWS`].
    #[cfg(test)]
    pub(crate) fn gemm_rows(self) -> usize {
        self.gemm_size().0
    }

    /// [`Simd::GEMM_VECTORS`]: vectors in a packed group of matrix columns.
    pub(crate) fn gemm_vectors(self) -> usize {
        self.gemm_size().1
    }

    fn gemm_size(self) -> (usize, usize) {
        fn of<S: Simd>(_: S) -> (usize, usize) {
            (S::GEMM_ROWS, S::GEMM_VECTORS)
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => of(simd),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => of(simd),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => of(simd),
            Self::Portable(simd) => of(simd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_sets_are_errors() {
        let error = Isa::from_name("mmx").unwrap_err();
        assert_eq!(
            error.to_string(),
            "FEATURIZE_KERNELS_ISA: \"mmx\" is not one of avx512, avx2, neon, portable"
        );
        let foreign = if cfg!(target_arch = "aarch64") {
            Isa::Avx2
        } else {
            Isa::Neon
        };
        assert!(!foreign.is_available());
        assert!(Isa::from_name(foreign.name()).is_err());
        assert!(matches!(Isa::from_name("Portable"), Ok(Isa::Portable)));
    }
}
