package operate

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/keyring"
)

// Level says how bad a finding is.
type Level string

const (
	LevelOK    Level = "ok"
	LevelNote  Level = "note"  // worth knowing
	LevelWarn  Level = "warn"  // works, and should be changed
	LevelFault Level = "fault" // does not work
)

// Finding is the outcome of one check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Fix   string `json:"fix,omitempty"`
}

func (o *Operations) doctor(r *http.Request) (any, error) {
	found := Examine(o.Config)
	found = append(found, o.keyFindings()...)
	found = append(found, o.sharedKeyFindings(r.Context())...)
	found = append(found, o.storeFindings(r.Context())...)
	found = append(found, o.clockFindings()...)
	return found, nil
}

// Examine checks what can be seen without opening the installation: folder, listener, cookies, proxy.
func Examine(c *config.Config) []Finding {
	found := folderFindings(c)
	found = append(found, listenerFindings(c)...)
	return append(found, cookieFindings(c)...)
}

func folderFindings(c *config.Config) []Finding {
	const check = "data folder"
	info, err := os.Stat(c.Data)
	if err != nil {
		return []Finding{{check, LevelFault, err.Error(), "start `counterfoil serve` once, or name the folder with --data"}}
	}
	found := []Finding{}
	add := func(level Level, says, fix string) { found = append(found, Finding{check, level, says, fix}) }
	if mode := info.Mode().Perm(); mode != 0o700 {
		why := "so others can look in"
		if mode&0o077 == 0 {
			why = "so the server cannot make files there"
		}
		add(LevelFault, fmt.Sprintf("%s has mode %04o, %s", c.Data, mode, why), "chmod 700 "+c.Data)
	}
	files, _ := filepath.Glob(c.Path("*"))
	for _, f := range files {
		if i, err := os.Lstat(f); err == nil && i.Mode().IsRegular() && i.Mode().Perm()&0o077 != 0 && filepath.Base(f) != config.FileName {
			add(LevelWarn, fmt.Sprintf("%s has mode %04o", f, i.Mode().Perm()), "chmod 600 "+f)
		}
	}
	if why := Unwritable(c.Data); why != "" {
		add(LevelFault, c.Data+": "+why, "make room, and give the folder to the user that runs the server")
	}
	if len(found) == 0 {
		add(LevelOK, c.Data+" is ours alone and writable", "")
	}
	return found
}

const leastFree = 16 << 20 // bytes on the disk; with fewer, nobody could sign in or out for long

// Unwritable says why nothing can be written in a folder, "" if it can. It writes nothing itself.
func Unwritable(dir string) string {
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return "it cannot be written: " + err.Error()
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return "its disk cannot be looked at: " + err.Error()
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < leastFree {
		return fmt.Sprintf("its disk has %d MiB free", free>>20)
	}
	return ""
}

func (o *Operations) keyFindings() []Finding {
	const check = "keys"
	source := o.Keys.Source()
	found := []Finding{{check, LevelOK, fmt.Sprintf("%d usable, fingerprint %s, from %s", len(o.Keys.Usable()), o.Keys.Fingerprint(), source), ""}}
	switch source.Kind {
	case keyring.SourceEphemeral:
		found[0].Level, found[0].Fix = LevelWarn, "leave --ephemeral-key out: keys are then kept in the data folder"
	case keyring.SourceEnvironment:
		found = append(found, Finding{check, LevelNote, "the key stands in the environment, which child processes and crash reports see, and cannot be rotated without signing everybody out",
			"put a key file where the service manager mounts secrets and name it in " + keyring.EnvKeyFile})
	case keyring.SourceOwn, keyring.SourceGenerated:
		if source.Wrap != "" {
			break
		}
		found = append(found, Finding{check, LevelNote, "the key file is not wrapped: whoever can read the data folder, or a backup of all of it, has the keys",
			"wrap it with `counterfoil key wrap`, or leave " + source.Path + " out of backups of the store and keep a copy of it elsewhere"})
	}
	return found
}

func (o *Operations) storeFindings(ctx context.Context) []Finding {
	const check = "store"
	can := o.Store.Capabilities()
	_, begin := o.Clock.Now()
	page, err := o.Store.Log(ctx, 0, 0)
	_, end := o.Clock.Now()
	answers, near := "see that its file can be read and written and that its disk has room", "put the file on a local disk that is less busy"
	if can.Shared {
		answers, near = "see that it runs, that this machine reaches it and that name and password are right", "see how busy it is and how far away; nodes belong into its network, or its region"
	}
	if err != nil {
		return []Finding{{check, LevelFault, "it does not answer: " + err.Error(), answers}}
	}
	found := []Finding{{check, LevelOK, fmt.Sprintf("answers in %v; its log stands at %d", (end - begin).Round(10*time.Microsecond), page.Head), ""}}
	if took := end - begin; took > 100*time.Millisecond {
		found = append(found, Finding{check, LevelWarn, fmt.Sprintf("a read took %v", took.Round(time.Millisecond)), near})
	}
	if whole, ok := o.Store.(interface{ Check(context.Context) error }); ok {
		if err := whole.Check(ctx); err != nil {
			found = append(found, Finding{check, LevelFault, err.Error(), "stop, keep a copy of the file, and restore a backup"})
		}
	}
	if told, ok := o.Store.(interface {
		Advise(context.Context) ([]counterfoil.Advice, error)
	}); ok {
		all, err := told.Advise(ctx)
		if err != nil {
			found = append(found, Finding{check, LevelNote, "its settings cannot be looked at: " + err.Error(), "give the store's user the rights that the store's page names"})
		}
		for _, a := range all {
			found = append(found, Finding{check, LevelWarn, a.Says, a.Fix})
		}
	} else if !can.Durable {
		found = append(found, Finding{check, LevelWarn, "it forgets everything when the process ends", "use --store sqlite:PATH, the default"})
	}
	return append(found, o.readerFindings(ctx)...)
}

// clockFindings compares session time with the wall, and asks the kernel whether that is kept right.
func (o *Operations) clockFindings() []Finding {
	const check = "clock"
	found := []Finding{}
	health := o.Sessions.Health()
	if apart := health.Skew; apart.Abs() > time.Second {
		found = append(found, Finding{check, LevelWarn, fmt.Sprintf("this machine's clock is %v ahead of the store's", apart.Round(time.Millisecond)), // or negative
			"let NTP set both: systemd-timesyncd, chrony or ntpd"})
	}
	if ahead := health.ClockAhead; ahead > time.Second {
		found = append(found, Finding{check, LevelWarn, fmt.Sprintf("the clock was set back: sessions go by a time %v ahead", ahead.Round(time.Second)),
			"set the clock right; if it is right and was once far ahead: stop, then counterfoil session end --all --reset-clock"})
	}
	var state unix.Timex
	if code, err := unix.Adjtimex(&state); err == nil && code == unix.TIME_ERROR {
		found = append(found, Finding{check, LevelNote, "the kernel says that nothing keeps the clock right", "run systemd-timesyncd, chrony or ntpd"})
	}
	if len(found) == 0 {
		found = append(found, Finding{check, LevelOK, "is kept right", ""})
	}
	return found
}
