#!/usr/bin/env bash
# Install what grading needs: the platform runs this once when it builds its image, run_autograder and run_tests
# run it on a fresh machine. Running it again takes no time.
#
#   ./setup.sh         what grading needs
#   ./setup.sh --dev   what tests and releases need, too
#   ./setup.sh --path  print the environment's folder and do nothing else
#   ./setup.sh --pythons  print the interpreters that would be tried, the first one first
#
# GRADER_CIFAR10, the path or URL of cifar-10-binary.tar.gz or cifar-10-python.tar.gz, adds the data set, with which
# accuracies that students report are measured again. Without it everything else works.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The environment lies outside the checkout when root sets it up: student code runs under other uids, which could
# not enter a checkout in somebody's home. Its name changes with the requirements, so an old one is never reused.
digest=$(cat "$here/requirements/grade.txt" "$here/requirements/dev.txt" | sha256sum | cut -c1-12)
if [ "$(id -u)" = 0 ]; then base=/opt/deepgrader; else base=$here/.venv; fi
environment=$base/$digest

say() { printf 'setup: %s\n' "$*"; }

install_debian() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "please install the Debian packages: $*" >&2
        return 1
    fi
    say "installing the Debian packages $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Prints the minor version of a Python 3 that can make an environment, and that every user may enter: student code runs
# under other uids, which cannot reach an interpreter under somebody's home. No environment of somebody else's either.
usable_python='
import os, sys, venv, ensurepip
paths = [os.path.realpath(sys.executable), os.path.realpath(os.__file__)]
for path in paths:
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        paths += [] if path in paths else [path]
is_ours = sys.prefix == sys.base_prefix and all(
    os.stat(path).st_mode & (0o004 if os.path.isfile(path) else 0o001) for path in paths
)
is_known = (3, 10) <= sys.version_info[:2] <= (3, 13)  # those that the requirements support
sys.exit("not usable") if not (is_ours and is_known) else print(sys.version_info[1])
'

# The interpreters to try, one a line: the newest, because notebooks come from Colab, which is ahead of most systems; of
# two of one version the system's; then the others.
find_pythons() {
    local folder candidate minor
    for folder in ${GRADER_PYTHON_FOLDERS:-/usr/bin /usr/local/bin /opt/*/bin}; do
        for candidate in "$folder"/python3 "$folder"/python3.1[0-9]; do
            if [ -x "$candidate" ] && minor=$("$candidate" -I -c "$usable_python" 2>/dev/null); then
                printf '%s %s\n' "$minor" "$candidate"
            fi
        done
    done | sort -s -u -r -n -k 1,1 | cut -d ' ' -f 2-
    # Nobody but its owner may enter this one, which is enough where student code runs under the same user.
    if [ "$(id -u)" != 0 ]; then command -v python3 || true; fi
}

install_grading() {
    local pythons python
    pythons=$(find_pythons)
    if [ -z "$pythons" ]; then
        install_debian python3 python3-venv
        pythons=$(find_pythons)
    fi
    while read -r python; do
        if [ -n "$python" ] && install_with "$python"; then return; fi
    done <<<"$pythons"
    say "no Python from 3.10 to 3.13 with venv was found for which the requirements can be installed" >&2
    exit 1
}

# Called in a condition, where `set -e` does not hold: each step says itself that it failed.
install_with() {
    local python=$1
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
        say "grading with $("$python" --version), older than Colab's: newer syntax is rewritten where that is faithful, else named"
    fi
    say "making $environment with $("$python" --version)"
    "$python" -m venv --clear "$environment" || return 1
    if [ -e /dev/nvidiactl ]; then
        say "installing torch with CUDA and the other requirements (some minutes)"
        "$environment/bin/pip" install -qq -r "$here/requirements/grade.txt" || return 1
    else
        say "installing torch for CPU and the other requirements (a minute or two)"
        install_cpu || return 1
    fi
    if ! "$environment/bin/python" -c 'import pyseccomp' 2>/dev/null; then
        install_debian libseccomp2 || say "without libseccomp2 the sandbox has no system call filter"
    fi
}

# The plain torch wheel for Linux brings gigabytes of CUDA; "+cpu" does not, and stands in an index of its own.
install_cpu() {
    local requirements
    requirements=$(mktemp)
    sed 's/^\(torch==.*\)$/\1+cpu/' "$here/requirements/grade.txt" >"$requirements"
    "$environment/bin/pip" install -qq -r "$requirements" 2>"$requirements.log" ||
        "$environment/bin/pip" install -qq --extra-index-url https://download.pytorch.org/whl/cpu -r "$requirements" ||
        { cat "$requirements.log" >&2; rm -f "$requirements" "$requirements.log"; return 1; }
    rm -f "$requirements" "$requirements.log"
}

# Pages and PDF files are made and tested with Debian's own browser: nothing is downloaded at run time.
install_browser() {
    command -v chromium >/dev/null || install_debian chromium fonts-dejavu-core ||
        say "without Chromium, PDF files and browser tests are left out"
}

# Beside the environments, outside git; what is there is left as it is.
install_cifar10() {
    if [ -z "${GRADER_CIFAR10:-}" ] || compgen -G "$base/cifar10/*/.complete" >/dev/null; then return; fi
    say "unpacking CIFAR-10 to $base/cifar10"
    "$environment/bin/python" -I -B "$here/reference/vision/cifar10.py" "$GRADER_CIFAR10" "$base/cifar10" ||
        say "reported accuracies will not be measured; everything else works"
}

# The grader runs with -B and writes nothing beside its sources, so what it imports is compiled here, once.
compile_sources() {
    local stamp=$here/grader/__pycache__/.compiled package=homework
    if [ -e "$here/homework_package" ]; then package=$(<"$here/homework_package"); fi
    local folders=("$here/grader" "$here/${package//.//}")
    if [ -d "$here/reference" ]; then folders+=("$here/reference"); fi
    if [ -e "$stamp" ] && [ -z "$(find "${folders[@]}" -name '*.py' -newer "$stamp" -print -quit)" ]; then
        return
    fi
    if "$environment/bin/python" -m compileall -q -x /notebooks/ "${folders[@]}"; then touch "$stamp"; fi
}

main() {
    if [ "${1:-}" = --path ]; then
        printf '%s\n' "$environment"
        return
    fi
    if [ "${1:-}" = --pythons ]; then
        find_pythons
        return
    fi
    mkdir -p "$base"
    exec 9>"$base/.lock"
    flock 9 # two graders on one machine set up once
    if [ ! -e "$environment/.grading-is-installed" ]; then
        install_grading
        touch "$environment/.grading-is-installed"
    fi
    if [ "${1:-}" = --dev ] && [ ! -e "$environment/.tests-are-installed" ]; then
        say "installing what tests and releases need (a minute)"
        "$environment/bin/pip" install -qq -r "$here/requirements/dev.txt"
        install_browser
        touch "$environment/.tests-are-installed"
    fi
    compile_sources
    install_cifar10
}

main "$@"
