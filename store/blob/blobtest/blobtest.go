// Package blobtest starts servers of object storage for tests, each in a folder of its own.
//
//	server, err := blobtest.StartS3()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer server.Stop()
//	store, err := blob.Open(ctx, server.DSN("prefix"), blob.Options{Getenv: server.Getenv})
package blobtest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/freeport"
)

// Server is a storage that listens on a free port of this machine and nowhere else. It has a bucket
// or container of the name "bucket". One goroutine may use it at a time.
type Server struct {
	// Env are the variables by which a store proves who it is, as "NAME=value".
	Env []string

	address string
	dir     string
	scheme  string
	path    string // of the endpoint
	command func() *exec.Cmd
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has
}

// Address is where it listens, as host:port.
func (s *Server) Address() string { return s.address }

// DSN returns the place under a prefix; it has to be opened with Env.
func (s *Server) DSN(prefix string) string { return s.DSNAt(s.address, prefix) }

// DSNAt is DSN for a way to the server that begins at another address.
func (s *Server) DSNAt(address, prefix string) string {
	return s.scheme + "://bucket/" + prefix + "?endpoint=http://" + address + s.path
}

// Getenv looks up Env, and nothing else.
func (s *Server) Getenv(name string) string {
	for _, one := range s.Env {
		if value, ok := strings.CutPrefix(one, name+"="); ok {
			return value
		}
	}
	return ""
}

// Recover starts a server that crashed, on what it left, and waits until it answers.
func (s *Server) Recover() error {
	s.cmd = s.command()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%w; scripts/bootstrap installs what is missing", err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // the log says why it ended
		close(ended)
	}(s.cmd, s.ended)
	for !s.answers() {
		select {
		case <-s.ended:
			text, err := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("%s ended before it answered: %s", s.cmd.Path, text), err)
		case <-after(20 * time.Millisecond): // however slow it is: on a busy machine a start takes a minute
		}
	}
	return nil
}

func (s *Server) answers() bool {
	resp, err := http.Get("http://" + s.address)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil
}

// after returns what is closed when d is over.
func after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	counterfoil.SystemClock().AfterFunc(d, func() { close(over) })
	return over
}

// Crash ends the server at once and without its doing anything more.
func (s *Server) Crash() {
	if s.cmd.Process == nil {
		return // never started
	}
	_ = s.cmd.Process.Kill() // or it has ended already
	<-s.ended
}

// Stop crashes the server and removes its folder.
func (s *Server) Stop() error {
	s.Crash()
	return os.RemoveAll(s.dir)
}

// start runs the command that run returns for a folder and a free port.
func (s *Server) start(env []string, run func(dir, host, port string) *exec.Cmd) (_ *Server, err error) {
	if s.address, err = freeport.Address(); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "objects"); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		cmd := run(s.dir, host, port)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}
	if err := s.Recover(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartS3 starts Versity S3 Gateway on a folder. What it acknowledged outlives a crash.
func StartS3() (*Server, error) {
	path, err := tool("versitygw", "github.com/versity/versitygw/cmd/versitygw")
	if err != nil {
		return nil, err
	}
	const key = "counterfoil-test"
	secret := rand.Text()
	s := &Server{scheme: "s3", Env: []string{"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret}}
	return s.start(nil, func(dir, host, port string) *exec.Cmd {
		data, side := filepath.Join(dir, "data"), filepath.Join(dir, "side")
		_ = errors.Join(os.MkdirAll(filepath.Join(data, "bucket"), 0o700), os.MkdirAll(side, 0o700), dropUnborn(data, side)) // or it says so
		return exec.Command(path, "--port", host+":"+port, "--access", key, "--secret", secret, "--keep-alive", "--quiet",
			"posix", "--sidecar", side, data)
	})
}

// dropUnborn removes what the gateway notes of an object before the object is there: a crash in between
// leaves a name that is taken for ever and cannot be read.
func dropUnborn(data, side string) error {
	return filepath.WalkDir(side, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "meta" {
			return err
		}
		object, err := filepath.Rel(side, filepath.Dir(path))
		if err != nil {
			return err
		}
		if _, err := os.Lstat(filepath.Join(data, object)); errors.Is(err, fs.ErrNotExist) {
			return errors.Join(os.RemoveAll(path), fs.SkipDir)
		}
		return fs.SkipDir
	})
}

// StartGCS starts fake-gcs-server, which keeps objects in memory.
func StartGCS() (*Server, error) {
	path, err := tool("fake-gcs-server", "github.com/fsouza/fake-gcs-server")
	if err != nil {
		return nil, err
	}
	s := &Server{scheme: "gs"}
	if s, err = s.start(nil, func(_, host, port string) *exec.Cmd {
		return exec.Command(path, "-scheme", "http", "-host", host, "-port", port, "-backend", "memory", "-public-host", host+":"+port,
			"-external-url", "http://"+host+":"+port, "-log-level", "error")
	}); err != nil {
		return nil, err
	}
	resp, err := http.Post("http://"+s.address+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name": "bucket"}`))
	if err == nil {
		if err = resp.Body.Close(); err == nil && resp.StatusCode/100 != 2 {
			err = fmt.Errorf("fake-gcs-server makes no bucket: %s", resp.Status)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartAzure starts Azurite, which keeps objects in memory. The container has to be made first.
func StartAzure() (*Server, error) {
	main, err := built("azurite/node_modules/azurite/dist/src/blob/main.js")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(main); err != nil {
		return nil, fmt.Errorf("%w; scripts/bootstrap installs what is missing", err)
	}
	const account = "counterfoil"
	key := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	s := &Server{scheme: "azblob", path: "/" + account, Env: []string{"AZURE_STORAGE_ACCOUNT=" + account, "AZURE_STORAGE_KEY=" + key}}
	return s.start([]string{"AZURITE_ACCOUNTS=" + account + ":" + key}, func(_, host, port string) *exec.Cmd {
		return exec.Command("node", main, "--blobHost", host, "--blobPort", port, "--inMemoryPersistence", "--silent", "--disableTelemetry")
	})
}

// tool builds one of the servers that tools/objectstores pins, or finds that it is built. Tests of
// several packages may ask for it at once.
func tool(name, path string) (string, error) {
	out, err := built(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(out+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", out, path)
	if build.Dir, err = module("tools/objectstores"); err != nil {
		return "", err
	}
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, text)
	}
	return out, nil
}

// built is where a server's program is.
func built(name string) (string, error) { return module("dist/objectstores/" + name) }

// module is the path of something in the module that the test is of.
func module(name string) (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), filepath.FromSlash(name)), nil
}
