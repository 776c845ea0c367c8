//! Wraps the functions of librdkafka that the rdkafka crate does not: draining a partition's queue
//! in batches, and the ids of topics. This is the only unsafe code of the crate.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaRespErr;

/// The greatest number of messages that are taken from a partition's queue at a time.
pub(crate) const BATCH_RECORDS: usize = 2048;

/// A partition's own queue, detached from the consumer's queue. The partition's records come only
/// from here.
pub(crate) struct PartitionQueue<'c> {
    queue: *mut rd::rd_kafka_queue_t,
    slots: Vec<*mut rd::rd_kafka_message_t>,
    /// How many of the slots hold a message that is not destroyed yet.
    filled: usize,
    consumer: PhantomData<&'c ()>,
}

/// Messages that were drained together. They live as long as the batch.
pub(crate) struct MessageBatch<'q> {
    slots: &'q mut [*mut rd::rd_kafka_message_t],
    filled: &'q mut usize,
    /// How many of the messages are destroyed with the batch. The others are kept.
    consumed: usize,
}

/// A record, an error, or the event that the end of the partition is reached.
pub(crate) struct Message<'b> {
    raw: &'b rd::rd_kafka_message_t,
}

/// The names and values of a record's headers.
pub(crate) type Headers = Vec<(String, Option<Vec<u8>>)>;

impl<'c> PartitionQueue<'c> {
    /// Detaches a partition's queue. Returns `None` when librdkafka gives none.
    pub(crate) fn open<C: ClientContext>(
        client: &'c Client<C>,
        topic: &str,
        partition: i32,
        batch: usize,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is borrowed for as long as the queue; the name outlives the call.
        let queue = unsafe {
            rd::rd_kafka_queue_get_partition(client.native_ptr(), topic.as_ptr(), partition)
        };
        if queue.is_null() {
            return None;
        }
        // SAFETY: the queue was just given to us; a null target ends the forwarding.
        unsafe { rd::rd_kafka_queue_forward(queue, ptr::null_mut()) };
        Some(Self { queue, slots: vec![ptr::null_mut(); batch], filled: 0, consumer: PhantomData })
    }

    /// Returns what the last batch kept, or else what has been fetched, up to the batch size,
    /// without waiting.
    pub(crate) fn drain(&mut self) -> MessageBatch<'_> {
        if self.filled == 0 {
            self.filled = self.consume();
        }
        MessageBatch { consumed: self.filled, slots: &mut self.slots, filled: &mut self.filled }
    }

    fn consume(&mut self) -> usize {
        // SAFETY: the queue is ours until drop, and the array has as many slots as we say.
        let count = unsafe {
            rd::rd_kafka_consume_batch_queue(
                self.queue,
                0,
                self.slots.as_mut_ptr(),
                self.slots.len(),
            )
        };
        usize::try_from(count).unwrap_or(0)
    }
}

impl Drop for PartitionQueue<'_> {
    fn drop(&mut self) {
        destroy(&self.slots[..self.filled]);
        // SAFETY: we hold the only handle of this queue.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) };
    }
}

impl MessageBatch<'_> {
    /// Returns the messages of the batch.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: the pointers are of messages that live until the batch is dropped.
        self.slots[..*self.filled].iter().map(|raw| Message { raw: unsafe { &**raw } })
    }

    /// Keeps the messages from this index on for the next batch.
    pub(crate) fn keep_from(mut self, index: usize) {
        self.consumed = self.consumed.min(index);
    }
}

impl Drop for MessageBatch<'_> {
    fn drop(&mut self) {
        destroy(&self.slots[..self.consumed]);
        self.slots.copy_within(self.consumed..*self.filled, 0);
        *self.filled -= self.consumed;
    }
}

/// Destroys messages, which must not be used again.
fn destroy(messages: &[*mut rd::rd_kafka_message_t]) {
    for message in messages {
        // SAFETY: each was given to us once, and nothing borrows it any longer.
        unsafe { rd::rd_kafka_message_destroy(*message) };
    }
}

impl Message<'_> {
    /// Returns the error or event that this is instead of a record.
    pub(crate) fn error(&self) -> Option<RDKafkaRespErr> {
        (self.raw.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(self.raw.err)
    }

    /// Returns the error's text for people.
    pub(crate) fn error_text(&self) -> String {
        // SAFETY: librdkafka returns a string that lives as long as the message.
        let text = unsafe { rd::rd_kafka_message_errstr(self.raw) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above; it is NUL-terminated.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// Returns the record's offset.
    pub(crate) fn offset(&self) -> i64 {
        self.raw.offset
    }

    /// Returns the value, or `None` for a tombstone.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        bytes(self.raw.payload.cast(), self.raw.len)
    }

    /// Returns the record's key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        bytes(self.raw.key.cast(), self.raw.key_len)
    }

    /// Returns the record's timestamp in ms since 1970, or `None` when it has none.
    pub(crate) fn timestamp(&self) -> Option<i64> {
        let mut timestamp_type = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live, and `timestamp_type` is written before the call returns.
        let millis = unsafe { rd::rd_kafka_message_timestamp(self.raw, &raw mut timestamp_type) };
        (millis >= 0).then_some(millis)
    }

    /// Returns the value of the last header with this name, or `None` when there is none or it has
    /// no value.
    pub(crate) fn header(&self, name: &CStr) -> Option<&[u8]> {
        let mut all = ptr::null_mut();
        // SAFETY: the message is live; the headers stay its own.
        let found = unsafe { rd::rd_kafka_message_headers(self.raw, &raw mut all) };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let (mut value, mut size) = (ptr::null(), 0);
        // SAFETY: the out-pointers are ours; what they point at lives with the message.
        let found = unsafe {
            rd::rd_kafka_header_get_last(all, name.as_ptr(), &raw mut value, &raw mut size)
        };
        let found = found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        bytes(value.cast(), size).filter(|_| found)
    }

    /// Copies the headers. Only rejected records need them.
    pub(crate) fn headers(&self) -> Headers {
        let mut all = ptr::null_mut();
        // SAFETY: the message is live; the headers stay its own.
        let found = unsafe { rd::rd_kafka_message_headers(self.raw, &raw mut all) };
        let mut headers = Headers::new();
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return headers;
        }
        loop {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the out-pointers are ours; what they point at lives with the message.
            let found = unsafe {
                rd::rd_kafka_header_get_all(
                    all,
                    headers.len(),
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                )
            };
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return headers;
            }
            // SAFETY: librdkafka terminates names.
            let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
            headers.push((name, bytes(value.cast(), size).map(<[u8]>::to_vec)));
        }
    }
}

fn bytes<'a>(start: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: librdkafka gives the start and length of memory that lives with the message; the
    // callers bind the lifetime to it.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, len) })
}

/// Returns the id of a topic, as Kafka's tools print it, or `None` when the broker does not give
/// one: before version 2.8, or without the right to describe the topic.
pub(crate) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Option<String> {
    let client = client.native_ptr();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX - 1_000);
    let name = CString::new(topic).ok()?;
    let mut names = [name.as_ptr()];
    // SAFETY: the client is borrowed for the whole call. Every object created here is destroyed
    // before the end, the event last, because the description and its strings belong to it.
    unsafe {
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let options = rd::rd_kafka_AdminOptions_new(
            client,
            rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let mut error: [c_char; 256] = [0; 256];
        rd::rd_kafka_AdminOptions_set_request_timeout(
            options,
            timeout_ms,
            error.as_mut_ptr(),
            error.len(),
        );
        let queue = rd::rd_kafka_queue_new(client);
        rd::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = rd::rd_kafka_queue_poll(queue, timeout_ms + 1_000);
        let id = first_topic_id(event);
        if !event.is_null() {
            rd::rd_kafka_event_destroy(event);
        }
        rd::rd_kafka_queue_destroy(queue);
        rd::rd_kafka_AdminOptions_destroy(options);
        rd::rd_kafka_TopicCollection_destroy(topics);
        id
    }
}

/// # Safety
/// `event` must be null or a live event.
unsafe fn first_topic_id(event: *mut rd::rd_kafka_event_t) -> Option<String> {
    // SAFETY: each getter returns null, or a pointer that lives with the event.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if event.is_null() || result.is_null() {
            return None;
        }
        let mut count = 0;
        let descriptions = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return None;
        }
        let description = *descriptions;
        let error = rd::rd_kafka_TopicDescription_error(description);
        if !error.is_null()
            && rd::rd_kafka_error_code(error) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return None;
        }
        let uuid = rd::rd_kafka_TopicDescription_topic_id(description);
        let text = rd::rd_kafka_Uuid_base64str(uuid);
        if text.is_null() {
            return None;
        }
        // Kafka's own tools print URL-safe base64, which has no "/".
        Some(CStr::from_ptr(text).to_string_lossy().replace('/', "_").replace('+', "-"))
    }
}

/// Returns the end offset of a partition as of the last fetch.
pub(crate) fn cached_end_offset<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is borrowed for the whole call; the out-pointers are ours.
    unsafe {
        rd::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        );
    }
    (high >= 0).then_some(high)
}
