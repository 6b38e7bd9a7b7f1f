//! What a `*` at the end of a pattern stands for, and what it never does.

use super::*;

#[test]
fn a_star_stands_for_no_credentials_and_for_nothing_that_writes_or_starts() {
    for (pattern, command) in [
        ("run: cat *", "cat ~/.ssh/id_ed25519"),
        ("run: cat *", "cat /data/endpoint.json"),
        ("run: cat *", "cat server.key"),
        // Nor does it behind what the shell makes files of.
        ("run: cat *", "cat ~/.ss*/id_rs*"),
        ("run: cat *", "cat .en?"),
        ("run: cat *", "cat $HOME/x"),
        ("run: cat *", "cat $KEY_FILE"),
        ("run: cat *", "cat src/{a,.env}"),
        ("run: cat *", "cat certs/*"),
        ("run: cat *", "cat certs/*.p?m"),
        ("run: cat *", "cat ~/x$(echo .env)"),
        ("run: head *", "head -n1 conf/cred*s.json"),
        ("run: git show *", "git show HEAD:.env"),
        ("run: *", "cat ~/.ss*/id_rs*"),
        ("run: rg *", "rg . /home/u"),
        ("run: rg *", "rg . ../other"),
        ("run: git diff *", "git diff src /home/u"),
        ("run: grep -rn *", "grep -rn . /home/u"),
        // However an option is written.
        ("run: git diff *", "git diff --output=/etc/x"),
        ("run: git diff *", "git diff --outp=/etc/x"),
        ("run: git *", "git -c alias.x='!evil' x"),
        ("run: git *", "git --config-env=core.pager=X log"),
        ("run: git *", "git grep -O./evil x"),
        ("run: rg *", "rg --pre=./x a"),
        ("run: sort *", "sort -o /etc/x a"),
        ("run: sort *", "sort --compress-prog=./evil -S 100k big"),
        ("run: sort *", "sort -uo ~/.bashrc x"),
        ("run: sort *", "sort --outp=~/.bashrc x"),
        ("run: find *", "find . -delete"),
        ("run: go test *", "go test --exec=./evil"),
        ("run: go test *", "go test -o F"),
        ("run: go test *", "go test -coverprofile=F"),
        ("run: go build *", "go build -o ~/.local/bin/git ."),
        ("run: make test *", "make test --eval='x:=$(shell evil)'"),
        ("run: make test *", "make test -f /tmp/x.mk"),
        ("run: pytest *", "pytest -p evil"),
        ("run: pytest *", "pytest --junitxml=~/.bashrc"),
        ("run: mypy *", "mypy --python-executable ./evil"),
        ("run: cargo build *", "cargo build --config 'build.rustc-wrapper=\"./evil\"'"),
        ("run: cargo build *", "cargo build --target-dir /tmp"),
        ("run: npm test *", "npm test --script-shell=./evil"),
        ("run: gradle build *", "gradle build --init-script x"),
        ("run: mvn test *", "mvn test -f /tmp"),
        // Nor by a program that is named by its place.
        ("run: /usr/bin/git *", "/usr/bin/git -c alias.x='!evil' x"),
        ("run: /usr/bin/sort *", "/usr/bin/sort -o x a"),
        ("run: ./tool *", "./tool --write"),
    ] {
        assert!(!fits(pattern, &run(command)), "{pattern} {command}");
    }
    for (pattern, command) in [
        ("run: git *", "git log -5 --oneline"),
        ("run: /usr/bin/git *", "/usr/bin/git diff --stat"),
        ("run: cargo test *", "cargo test -p agents --release -- --nocapture"),
        ("run: go test *", "go test -run TestX ./..."),
        ("run: sort *", "sort -rn -k2 a.txt"),
        ("run: cat *", "cat src/*.rs"),
        ("run: make --eval=* *", "make --eval=x test"),
        ("run: ./tool --write *", "./tool --write a"),
    ] {
        assert!(fits(pattern, &run(command)), "{pattern} {command}");
    }
    assert!(fits("run: cat *", &run("cat README.md")));
    assert!(fits("run: cat .env", &run("cat .env")), "what is named is meant");
    let place = tempfile::tempdir().unwrap();
    for policy in [PermissionPolicy::AutoInWorktree, PermissionPolicy::ReadOnly] {
        assert_eq!(word(policy, &[], &read("/etc/hosts"), place.path()), "allow");
        for own in ["/data/endpoint.json", "/proc/1/environ", "/home/a/.docker/config.json"] {
            assert_ne!(word(policy, &[], &read(own), place.path()), "allow", "{own}");
        }
    }
}
