package main_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/programtest"
)

// These tests run the built program as a user does: processes, signals, files, HTTP with saved
// cookie bytes.

var program programtest.Program // built once by TestMain

func TestMain(m *testing.M) { os.Exit(program.Main(m)) }

var clock = counterfoil.SystemClock()

const passphrase = programtest.Passphrase

// cf is a command that is to succeed on however slow a store.
func cf(args ...string) programtest.Command {
	return program.Command(args...).With(programtest.Patient)
}

// nobody listens there, and nobody is given that port.
const nobody = "127.0.0.1:1"

// folder returns a place for a data folder.
func folder(t *testing.T) string { return programtest.Folder(t) }

// addUser makes an account while nobody serves, or while somebody does.
func addUser(t *testing.T, dir, name string) {
	t.Helper()
	program.AddUser(t, dir, name)
}

// serve starts a server on a free port and waits until it is ready.
func serve(t *testing.T, dir string, args ...string) *programtest.Server {
	t.Helper()
	return cf(append([]string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir}, args...)...).Serve(t)
}

// killUntilDone runs the command again and again, each time a step longer before it is killed with -9, and
// an eighth longer on a slow machine, until it comes to its end; after each kill it calls then. It returns
// how often it killed.
func killUntilDone(t *testing.T, c programtest.Command, step time.Duration, then func()) (killed int) {
	t.Helper()
	for wait := 20 * time.Millisecond; ; wait += max(step, wait/8) {
		cmd := c.Cmd(t.Context())
		var says bytes.Buffer
		cmd.Stderr = &says
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(wait, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
		if cmd.ProcessState.Success() {
			if killed == 0 {
				t.Fatal("it was done before it could be killed")
			}
			return killed
		}
		if strings.Contains(says.String(), "this store was moved to") {
			return killed // a copy that was killed when all was done
		}
		if cmd.ProcessState.Exited() {
			t.Fatalf("killed %d times, it fails: %s", killed, &says)
		}
		if killed++; killed > 200 {
			t.Fatal("it never ends")
		}
		then()
	}
}

// signOut ends a session as a browser does.
func signOut(t *testing.T, s *programtest.Site, cookie string) {
	t.Helper()
	if answer, body := s.Do("/auth/logout", cookie, url.Values{}); answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("sign-out answers %d: %s", answer.StatusCode, body)
	}
}

var fingerprint = regexp.MustCompile(`"fingerprint":"([0-9a-f]+)"`)

// keysOf returns the fingerprint that the start log names.
func keysOf(t *testing.T, s *programtest.Server) string {
	t.Helper()
	m := fingerprint.FindStringSubmatch(s.Log.String())
	if m == nil {
		t.Fatalf("the log names no fingerprint: %s", s.Log)
	}
	return m[1]
}
