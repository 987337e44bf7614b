# Sourced by ./run and ./test, from the root of the checkout: system packages and the virtual environment.
# shellcheck shell=bash

# What Qt and Mesa's software OpenGL load at run time. Qt blames libxcb-cursor0, whichever is missing.
debian_packages=(
    xvfb xauth
    libgl1 libegl1 libgl1-mesa-dri libglx0
    libglib2.0-0 libdbus-1-3 libfontconfig1 fonts-dejavu-core
    libxkbcommon-x11-0 libx11-xcb1
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
    libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1 libxcb-glx0 libxcb-shm0
)

say() { printf '\n== %s\n' "$*"; }

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

has_display() { [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} || $(uname -s) == Darwin ]]; }

find_python() {
    local name
    for name in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
        [[ -n $name ]] && command -v "$name" >/dev/null || continue
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        printf '%s' "$name"
        return 0
    done
    return 1
}

install_debian_packages() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    local missing=() name present
    present=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ') "
    for name in "${debian_packages[@]}" "$@"; do
        # Newer releases give some libraries the suffix t64.
        [[ $present == *" $name "* || $present == *" ${name}t64 "* ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    if [[ $(id -u) == 0 ]]; then
        say "Installing ${#missing[@]} Debian packages"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        printf 'Some system packages are missing. Please type:\n    sudo apt-get install -y %s\n' "${missing[*]}"
    fi
}

install_package() {
    local python=$1 wanted stamp=.venv/.set-up
    wanted=$({ cat pyproject.toml constraints.txt; pwd; "$python" -V; } | cksum)
    [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
    say "Setting up .venv (the first time takes some minutes)"
    rm -f "$stamp"
    [[ -x .venv/bin/python ]] && .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet -c constraints.txt -e '.[test]'
    printf '%s' "$wanted" >"$stamp"
}

set_up() {
    local python extra=()
    python=$(find_python) || stop "napari-diffprior needs Python 3.11 or newer, and this machine has $(python3 -V 2>&1 || true); install one, or name it: PYTHON=/path/to/python $0"
    # Debian keeps the part of Python that makes environments in a package of its own.
    "$python" -c 'import ensurepip' 2>/dev/null || extra=("$(basename "$(readlink -f "$(command -v "$python")")")-venv")
    install_debian_packages ${extra[@]+"${extra[@]}"}
    install_package "$python"
}
