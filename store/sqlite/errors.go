package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// What the store says besides the sentinels of its contract. Match them with errors.Is.
var (
	ErrOwned   = errors.New("sqlite: another process has this store open; stop it, or talk to it instead")
	ErrUnsafe  = errors.New("sqlite: others could read or replace the file")
	ErrForeign = errors.New("sqlite: this is the database of another program; give another path")
	ErrNewer   = errors.New("sqlite: the file was written by a newer version of this program; run that version, or restore the backup made before it")
	ErrDamaged = errors.New("sqlite: the file is damaged; keep a copy and restore a backup")
	ErrClosed  = errors.New("sqlite: the store is closed")
	// ErrBroken ends all writing once the disk has failed to flush: what was thought written may be
	// gone, and only a new start reads what is really there.
	ErrBroken = errors.New("sqlite: the disk failed to flush; check it and start again")
)

// classify adds what to do to the errors of SQLite that somebody can do something about.
func classify(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	case lib.SQLITE_FULL:
		return fmt.Errorf("sqlite: the disk is full; make room: %w", err)
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return fmt.Errorf("sqlite: the file or its folder cannot be written; check owner, mode and mount: %w", err)
	case lib.SQLITE_IOERR:
		return fmt.Errorf("sqlite: the disk did not do as asked; check its health and free space: %w", err)
	}
	return err
}

// fromSQLite reports whether err is SQLite's own.
func fromSQLite(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e)
}

// failed reports whether SQLite said so.
func failed(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == code
}

// flushFailed reports whether err says that data may not have reached the disk.
func flushFailed(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == lib.SQLITE_IOERR_FSYNC || e.Code() == lib.SQLITE_IOERR_DIR_FSYNC)
}
