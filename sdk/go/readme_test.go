// Package readme holds the README to what it says.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	// What the programs use: without it, a change there would leave this test's answer in the cache.
	_ "lakehouse/sdk/go/sessionlog"
	_ "lakehouse/sdk/go/validator"
)

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, directory, name string, arguments ...string) string {
	t.Helper()
	command := exec.Command(name, arguments...)
	command.Dir = directory
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, out)
	}
	return string(out)
}

// The programs are built as a module of its own, which finds this one as the README says, and print
// what stands below them.
func TestTheProgramsOfTheREADMERun(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	write(t, filepath.Join(directory, "go.mod"), "module readme\n\ngo 1.24\n")
	write(t, filepath.Join(directory, "go.sum"), string(sums))
	run(t, directory, "go", "mod", "edit", "-require=lakehouse/sdk/go@v0.0.0", "-replace=lakehouse/sdk/go="+here)

	programs := 0
	printed := ""
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		switch language, body := found[1], found[2]; language {
		case "go":
			programs++
			write(t, filepath.Join(directory, "main.go"), body)
			if formatted := run(t, directory, "gofmt", "-l", "main.go"); formatted != "" {
				t.Errorf("program %d is not formatted", programs)
			}
			printed = run(t, directory, "go", "run", ".")
		case "text":
			if printed != body {
				t.Errorf("program %d printed\n%s", programs, printed)
			}
			printed = ""
		}
	}
	if programs != 2 || printed != "" {
		t.Errorf("%d programs ran, and one's output is not told", programs)
	}
}
