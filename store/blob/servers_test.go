package blob_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a storage of our own, on a free port, in a folder of its own.
type server struct {
	url string
	dir string
	cmd *exec.Cmd
}

// servers are started once, when a test asks for them, and end with the tests.
var servers = map[string]func() (*server, error){
	"s3":     sync.OnceValues(startS3),
	"gs":     sync.OnceValues(startGCS),
	"azblob": sync.OnceValues(startAzure),
}

var (
	startedMu sync.Mutex
	started   []*server
)

func serverOf(t *testing.T, kind string) *server {
	t.Helper()
	s, err := servers[kind]()
	if err != nil {
		t.Fatalf("%v; scripts/bootstrap installs what is missing", err)
	}
	return s
}

func stopServers() {
	startedMu.Lock()
	defer startedMu.Unlock()
	for _, s := range started {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = os.RemoveAll(s.dir)
	}
}

// tool builds one of the pinned servers, or finds that it is built.
func tool(name, path string) (string, error) {
	out, err := filepath.Abs("../../dist/objectstores/" + name)
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", out, path)
	build.Dir = "../../tools/objectstores"
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, text)
	}
	return out, nil
}

// run starts a server and waits until it answers HTTP.
func run(env []string, command func(dir, host, port string) (*exec.Cmd, error)) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "objects")
	if err != nil {
		return nil, err
	}
	cmd, err := command(dir, "127.0.0.1", fmt.Sprint(address.Port))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address.String(), dir: dir, cmd: cmd}
	startedMu.Lock()
	started = append(started, s)
	startedMu.Unlock()
	for range 600 {
		if resp, err := http.Get(s.url); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			return s, resp.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	return nil, errors.Join(fmt.Errorf("%s does not answer: %s", cmd.Path, text), err)
}

const testKey, testSecret = "counterfoil-test", "a secret of this test"

// startS3 starts Versity S3 Gateway on a folder.
func startS3() (*server, error) {
	path, err := tool("versitygw", "github.com/versity/versitygw/cmd/versitygw")
	if err != nil {
		return nil, err
	}
	return run(nil, func(dir, host, port string) (*exec.Cmd, error) {
		err := errors.Join(os.MkdirAll(filepath.Join(dir, "data", "bucket"), 0o700), os.Mkdir(filepath.Join(dir, "side"), 0o700))
		return exec.Command(path, "--port", host+":"+port, "--access", testKey, "--secret", testSecret, "--keep-alive", "--quiet",
			"posix", "--sidecar", filepath.Join(dir, "side"), filepath.Join(dir, "data")), err
	})
}

// startGCS starts fake-gcs-server, which keeps objects in memory.
func startGCS() (*server, error) {
	path, err := tool("fake-gcs-server", "github.com/fsouza/fake-gcs-server")
	if err != nil {
		return nil, err
	}
	s, err := run(nil, func(dir, host, port string) (*exec.Cmd, error) {
		return exec.Command(path, "-scheme", "http", "-host", host, "-port", port, "-backend", "memory", "-public-host", host+":"+port,
			"-external-url", "http://"+host+":"+port, "-log-level", "error"), nil
	})
	if err != nil {
		return nil, err
	}
	return s, ask("POST", s.url+"/storage/v1/b?project=test", `{"name": "bucket"}`, nil)
}

// ask makes one request that must succeed.
func ask(method, url, body string, header http.Header) error {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return err
}

// startAzure starts Azurite, which keeps objects in memory.
func startAzure() (*server, error) {
	main, err := filepath.Abs("../../dist/objectstores/azurite/node_modules/azurite/dist/src/blob/main.js")
	if err != nil {
		return nil, err
	}
	return run([]string{"AZURITE_ACCOUNTS=" + azureAccount + ":" + azureKey}, func(dir, host, port string) (*exec.Cmd, error) {
		if _, err := os.Stat(main); err != nil {
			return nil, err
		}
		return exec.Command("node", main, "--blobHost", host, "--blobPort", port, "--inMemoryPersistence", "--silent", "--disableTelemetry"), nil
	})
}

const azureAccount, azureKey = "counterfoil", "YSBrZXkgb2YgdGhpcyB0ZXN0IGFsb25l"
