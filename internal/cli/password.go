package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

const maxPassword = 4096 // bytes that are read; the rules for passwords are stricter

// password reads a new password: typed twice without echo on a terminal, else all of standard input
// with one trailing newline cut.
func (c *call) password() (string, error) {
	if terminal(c.Stdin) {
		return c.typed(c.Stdin.(*os.File))
	}
	if c.options["password-stdin"] == "" {
		return "", exit(exitUsage, "standard input is no terminal: say --password-stdin to read the password from it")
	}
	text, err := io.ReadAll(io.LimitReader(c.Stdin, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if len(text) > maxPassword {
		return "", exit(exitFailed, "the password is over %d bytes", maxPassword)
	}
	if line, ok := bytes.CutSuffix(text, []byte("\r\n")); ok {
		text = line
	} else {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	if len(text) == 0 {
		return "", exit(exitFailed, "the password is empty")
	}
	return string(text), nil
}

func (c *call) typed(in *os.File) (string, error) {
	ask := func(prompt string) (string, error) {
		fmt.Fprint(c.Stderr, prompt)
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(c.Stderr)
		return string(text), err
	}
	first, err := ask("New password: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if first == "" {
		return "", exit(exitFailed, "the password is empty")
	}
	second, err := ask("The same again: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if first != second {
		return "", exit(exitFailed, "the two passwords differ; nothing was changed")
	}
	return first, nil
}
