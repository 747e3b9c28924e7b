// Package web looks into HTML and SVG that mail carries as attachments: a browser opens them from the disk of whoever clicks,
// with script, and past everything that a mail client keeps from a message. It tells of scripts, forms, frames and of pages
// that put a file together by themselves, and looks into what is packed in them. It runs in the process that opens what mail
// carries, runs no script and fetches nothing.
//
// HTML Living Standard, SVG 2, RFC 2397, RFC 2557.
package web
