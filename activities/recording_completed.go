package activities

import (
	"cmp"
	"context"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/meeting"
)

// RecordingCompleted is the body of Zoom's recording.completed. It comes minutes
// or hours after the meeting. Its download_token is a secret and is not read.
type RecordingCompleted = Zoom[struct {
	ZoomMeeting
	RecordingFiles []ZoomRecording `json:"recording_files"`
}]

// ZoomRecording is one file of a recording.
type ZoomRecording struct {
	ID            string `json:"id"`
	FileType      string `json:"file_type"`
	FileSize      int64  `json:"file_size"`
	RecordingType string `json:"recording_type"`
	// PlayURL is a link for people. Chats and transcripts have none.
	PlayURL     string `json:"play_url"`
	DownloadURL string `json:"download_url"`
}

// RecordingCompleted notes a meeting's recordings in its ledger.
func (a *Activities) RecordingCompleted(ctx context.Context, e handler.Event[RecordingCompleted]) error {
	m := e.Payload.Payload.Object
	f, err := newFact(e, m.ZoomMeeting, meeting.Recorded)
	if err != nil {
		return err
	}
	for _, r := range m.RecordingFiles {
		f.Recordings = append(f.Recordings, meeting.Recording{
			Type:  cmp.Or(r.RecordingType, r.FileType),
			URL:   cmp.Or(r.PlayURL, r.DownloadURL),
			Bytes: r.FileSize,
		})
	}
	return a.tell(ctx, f)
}
