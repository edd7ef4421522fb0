# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Debian's next release in a chroot, which is made once in a run, in the run's own folder.

# Has the sources of the checkout there, in /src, and packages.
chroot_with() { # packages
    if [ ! -e "$chroot/made" ]; then
        make_chroot
    fi
    quietly in_chroot apt-get install -y -qq --no-install-recommends "$@"
    # A package may have made them anew, of its own certificates alone.
    copy_certificates

    rm -rf "$chroot/src"
    mkdir "$chroot/src"
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- | tar --extract --directory="$chroot/src"
}

make_chroot() {
    local codename mirror settings
    say 'the chroot'
    apt_install debootstrap
    # Where apt has the packages of the release that runs here.
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt's own placeholder
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        "Codename: $codename" | head -n 1)
    # This debootstrap may not know the release's name: all have been made as sid since 2008.
    quietly debootstrap --variant=minbase --merged-usr forky "$chroot" "$mirror" \
        /usr/share/debootstrap/scripts/sid

    # The settings by which apt and pip reach what they reach here.
    cp /etc/resolv.conf "$chroot/etc/"
    copy_certificates
    apt-config dump Acquire >"$chroot/etc/apt/apt.conf.d/acquire"
    for settings in /etc/pip.conf "$HOME/.config/pip/pip.conf"; do
        if [ -f "$settings" ]; then
            install -D "$settings" "$chroot${settings/#$HOME//root}"
        fi
    done

    # A package that is installed starts no service, and need not outlive a crash.
    printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
    chmod +x "$chroot/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$chroot/etc/dpkg/dpkg.cfg.d/unsafe-io"

    quietly in_chroot apt-get update -qq
    touch "$chroot/made"
}

copy_certificates() {
    # Not over what is there: a link of the chroot would lead to a file of this machine.
    rm -rf "$chroot/etc/ssl/certs"
    mkdir -p "$chroot/etc/ssl"
    cp -rL /etc/ssl/certs "$chroot/etc/ssl/"
}

# Runs a command there, in /src. Its mounts end with it, and so do the processes it started.
in_chroot() { # command
    unshare --mount --propagation=private --pid --fork --kill-child .ci/enter "$chroot" "$@"
}
