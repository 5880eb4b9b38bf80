package operate

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// SocketName is the control socket's name in the data folder.
const SocketName = "control.sock"

// ListenControl listens on the control socket of a data folder. Only the holder of the folder's lock
// may call it, because it removes the socket that a killed holder left behind. Connections of other
// users than ours and root are closed at once.
func ListenControl(dir string, _ *Lock) (net.Listener, error) {
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	folder, path, err := shortPath(dir)
	if err != nil {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		folder.Close()
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		folder.Close()
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	return &controlListener{l, folder}, nil
}

// DialControl connects to the control socket of a data folder.
func DialControl(dir string, timeout time.Duration) (net.Conn, error) {
	folder, path, err := shortPath(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return net.DialTimeout("unix", path, timeout)
}

// shortPath names the socket through the open folder: the address of a Unix socket has 108 bytes at
// most, the path of a data folder can be longer. The path is good while the folder is open.
func shortPath(dir string) (*os.File, string, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, "", err
	}
	return folder, fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), SocketName), nil
}

type controlListener struct {
	net.Listener
	folder *os.File
}

// Accept returns the next connection of a peer that may operate the installation.
func (l *controlListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || allowed(c) {
			return c, err
		}
		c.Close()
	}
}

func (l *controlListener) Close() error {
	return errors.Join(l.Listener.Close(), l.folder.Close())
}

// allowed asks the kernel who is on the other side.
func allowed(c net.Conn) bool {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ok = err == nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
	})
	return err == nil && ok
}
