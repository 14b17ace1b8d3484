package spool

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

// Errors that callers tell apart with errors.Is. All of them mean that the entry was not accepted.
var (
	// ErrFull says that the bound on bytes or on age is reached, or that the disk does not keep up. It passes by itself when
	// the drain, or the disk, goes on.
	ErrFull = errors.New("the spool is full")
	// ErrFailed says that the disk failed. The spool tests the disk by itself and accepts again when it is well.
	ErrFailed = errors.New("the spool's disk failed")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("the spool is closed")
	// ErrInUse says that another process has the directory open.
	ErrInUse = errors.New("the spool is in use by another process")
	// ErrTooLarge says that one entry is over MaxEntry.
	ErrTooLarge = errors.New("the entry is too large for the spool")
)

// MaxEntry is the greatest size of one entry, all of its fields together, in bytes.
const MaxEntry = 64 << 20

const (
	defaultMaxBytes    = 1 << 30
	maxArriving        = 256 << 20 // bytes in memory for a disk that hangs: no disk does more in the second that a sender waits
	defaultCommitDelay = 2 * time.Millisecond
	largestSegment     = 16 << 20
	smallestSegment    = 64 << 10
)

// Entry is one thing to keep.
type Entry struct {
	// Key names the entry, in grapnel the event ID. Required.
	Key string
	// Digest tells apart entries that share a key. Key and Digest together are accepted once.
	Digest string
	// Received is when the entry reached us; zero means now.
	Received time.Time
	// Meta is whatever the caller needs beside the body.
	Meta []byte
	// Body is the payload, kept byte for byte.
	Body []byte
	// Attempt counts how often Next has offered this entry since Open, from 1; Put ignores it.
	Attempt int
	// Sequence is the entry's place in the queue; Put ignores it.
	Sequence uint64
}

// Options says where the spool lives and what bounds it.
type Options struct {
	// Path is the spool's directory, made with mode 0700 if absent. Required.
	Path string
	// MaxBytes bounds the bytes of waiting and refused entries; zero means 1 GiB. The files can be a segment or two
	// (16 MiB at most each) larger, because space comes back by whole segments.
	MaxBytes int64
	// MaxAge bounds the age of the oldest waiting entry; past it puts get ErrFull, and nothing is dropped. Zero: no bound.
	MaxAge time.Duration
	// CommitDelay is how long a put may wait for others to share its sync, at most 2 ms, which zero means too. A put that
	// is alone never waits.
	CommitDelay time.Duration
	// Clock gives the time for ages; nil means time.Now.
	Clock func() time.Time
	// Logger hears of damage, failures and recoveries; nil means none.
	Logger *zap.Logger

	create func(path string) (file, error)
	// view opens the directory to look at it alone.
	view bool
}

func withDefaults(o Options) Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.CommitDelay <= 0 || o.CommitDelay > defaultCommitDelay {
		o.CommitDelay = defaultCommitDelay
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.create == nil {
		o.create = createFile
	}
	return o
}
