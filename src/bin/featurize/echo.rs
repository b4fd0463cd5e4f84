//! The echo of the terminal, which is off while a bar is drawn.
//!
//! What is typed ahead would push the bar from its place, and the bar would stay between the lines. The
//! prompt shows it when it reads it.

#[cfg(unix)]
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
#[cfg(unix)]
use nix::unistd::{getpgrp, tcgetpgrp};

/// No echo until this is dropped.
pub(crate) struct Silence(());

impl Silence {
    /// `None` if there is no terminal that would echo.
    #[cfg(unix)]
    pub(crate) fn begin() -> Option<Self> {
        let modes = modes().filter(|modes| modes.local_flags.contains(LocalFlags::ECHO))?;
        set_echo(modes, false).map(|()| Self(()))
    }

    #[cfg(not(unix))]
    pub(crate) fn begin() -> Option<Self> {
        None
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        modes().and_then(|modes| set_echo(modes, true));
    }
}

/// How the terminal behaves; `None` where there is none, or another program has it: to change it would
/// stop this one.
#[cfg(unix)]
fn modes() -> Option<Termios> {
    let terminal = std::io::stderr();
    (tcgetpgrp(&terminal).ok()? == getpgrp()).then_some(())?;
    tcgetattr(&terminal).ok()
}

#[cfg(unix)]
fn set_echo(mut modes: Termios, on: bool) -> Option<()> {
    modes.local_flags.set(LocalFlags::ECHO, on);
    tcsetattr(std::io::stderr(), SetArg::TCSANOW, &modes).ok()
}
