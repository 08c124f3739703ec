import { createDurable } from 'itty-durable'

export class Mailbox extends createDurable({ autoPersist: false }) {}
