# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Debian releases in chroots. Each is made once in a run, in the directory of the run.

# Chooses the release that the functions below work in; makes it if no part before did.
use_chroot() { # codename
    chroot=$run/$1
    if [ ! -e "$chroot/made" ]; then
        make_chroot "$1"
    fi
}

# The codename of the release of this machine.
release_here() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# Installs packages there, and copies the sources of the checkout to /src.
chroot_with() { # packages
    quietly in_chroot apt-get install -y -qq --no-install-recommends "$@"
    # The package of the certificates replaces the directory by its own.
    copy_certificates

    rm -rf "$chroot/src"
    mkdir "$chroot/src"
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- | tar --extract --directory="$chroot/src"
}

make_chroot() { # codename
    local mirror settings place
    say "a chroot of $1"
    apt_install debootstrap
    # Where apt has the packages of the release of this machine.
    # shellcheck disable=SC2016  # apt's own placeholder
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        "Codename: $(release_here)" | head -n 1)
    # This debootstrap may not know a newer release: all have been made as sid since 2008.
    quietly debootstrap --variant=minbase --merged-usr "$1" "$chroot" "$mirror" \
        /usr/share/debootstrap/scripts/sid

    # The settings by which apt and pip reach what they reach here.
    cp /etc/resolv.conf "$chroot/etc/"
    copy_certificates
    apt-config dump Acquire >"$chroot/etc/apt/apt.conf.d/acquire"
    if [ -f /etc/pip.conf ]; then
        cp /etc/pip.conf "$chroot/etc/"
    fi
    settings=.config/pip/pip.conf
    if [ -f "$HOME/$settings" ]; then
        for place in root etc/skel; do  # root's, and those of every user who is added
            install -D --mode=644 "$HOME/$settings" "$chroot/$place/$settings"
        done
    fi

    # A package that is installed starts no service, and need not outlive a crash.
    printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
    chmod +x "$chroot/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$chroot/etc/dpkg/dpkg.cfg.d/unsafe-io"

    quietly in_chroot apt-get update -qq
    touch "$chroot/made"
}

copy_certificates() {
    # Not over what is there: a link in the chroot would lead to a file of this machine.
    rm -rf "$chroot/etc/ssl/certs"
    mkdir -p "$chroot/etc/ssl"
    cp -rL /etc/ssl/certs "$chroot/etc/ssl/"
}

# Runs a command there, in /src. Its mounts end with it, and so do the processes that it started.
in_chroot() { # command
    unshare --mount --propagation=private --pid --fork --kill-child .ci/enter "$chroot" "$@"
}
