package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// newMark is a file that is there from before the database is made until the
// engine has served from it once. The engine makes its tables one by one and
// only where there is no file yet, so one that is killed meanwhile leaves a
// file with which no engine ever starts again. Nothing was accepted into it.
const newMark = databaseName + ".new"

// prepareDatabase marks a database that is about to be made, and before that sets
// aside one whose making was cut short. A write-ahead log without its database is set
// aside too: SQLite would take it for that of the new one. It tells whether the
// database is yet to be made.
func (o EmbeddedOptions) prepareDatabase() (fresh bool, err error) {
	if o.InMemory {
		return false, nil
	}
	database, mark := filepath.Join(o.DataDir, databaseName), filepath.Join(o.DataDir, newMark)
	there, err := fileExists(database)
	if err != nil {
		return false, err
	}
	marked, err := fileExists(mark)
	if err != nil {
		return false, err
	}
	if there && !marked {
		return false, nil
	}
	aside := fmt.Sprintf("%s.unfinished-%d", database, time.Now().UnixNano())
	for _, suffix := range databaseSuffixes() {
		switch err := os.Rename(database+suffix, aside+suffix); {
		case err == nil:
			o.Logger.Warn("set aside a database whose making was cut short", "file", aside+suffix)
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("set an unfinished database aside: %w", err)
		}
	}
	if err := os.WriteFile(mark, []byte("The engine is making its database.\n"), 0o600); err != nil {
		return false, fmt.Errorf("mark the new database: %w", err)
	}
	return true, syncDir(o.DataDir)
}

// confirmDatabase keeps a database that serves to its owner, since it holds the
// bodies of events, and removes the mark for good: were it back after a power
// cut, the next start would set a database in use aside.
func confirmDatabase(dir string) error {
	for _, suffix := range databaseSuffixes() {
		err := os.Chmod(filepath.Join(dir, databaseName+suffix), 0o600)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("close the database to others: %w", err)
		}
	}
	err := os.Remove(filepath.Join(dir, newMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the mark of a new database: %w", err)
	}
	return syncDir(dir)
}

// databaseSuffixes are those of SQLite's files, the database itself last: as
// long as it is there, a move that was cut short is seen and finished.
func databaseSuffixes() []string { return []string{"-shm", "-wal", ""} }

func fileExists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into the data directory: %w", err)
	}
	return true, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	return nil
}
