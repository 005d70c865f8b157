//! Is told: process exits by pidfd, file changes by inotify.
