import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import java.util.zip.CRC32;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerInterceptor;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/**
 * S1 (decode and sum) and S2 (sum per key, in a store) in the Kafka Streams DSL, with its defaults: one thread,
 * RocksDB with record cache and changelog. Arguments: SCENARIO SERVERS TOPIC RECORDS SCHEMA FOLDER. Writes
 * FOLDER/result.json once the offsets of all records are committed, and ends.
 */
public final class KafkaStreamsPeer {
    private static final String STORE = "totals";
    /** Magic and schema id, before the Avro bytes. */
    private static final int PREFIX_BYTES = 5;

    private static final Map<TopicPartition, Long> ends = new HashMap<>();
    private static final CountDownLatch committed = new CountDownLatch(1);
    private static Schema schema;
    // Written by the one stream thread before it counts down, read by main after.
    private static long records, sum;
    private static double begunUnixS, cpuAtBegin;
    private static long begunNs, processedNs, committedNs;

    public static void main(String[] arguments) throws Exception {
        String scenario = arguments[0], servers = arguments[1], topic = arguments[2];
        long expected = Long.parseLong(arguments[3]);
        Path folder = Path.of(arguments[5]);
        schema = new Schema.Parser().parse(Path.of(arguments[4]).toFile());
        readEnds(servers, topic);

        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, Long> amounts = builder
            .stream(topic, Consumed.with(Serdes.String(), payments()))
            .processValues(() -> new Counting(expected))
            .mapValues(payment -> (Long) payment.get("amount_minor"));
        boolean keyed = scenario.equals("S2");
        if (keyed) {
            amounts.groupByKey(Grouped.with(Serdes.String(), Serdes.Long())).reduce(
                Long::sum,
                Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(STORE)
                    .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()));
        } else {
            amounts.foreach((key, amount) -> sum += amount);
        }

        KafkaStreams streams = new KafkaStreams(builder.build(), settings(servers, folder));
        streams.start();
        committed.await();
        double cpu = cpuSeconds() - cpuAtBegin;
        String answer = keyed ? totals(streams) : "";
        write(folder, cpu, answer);
        streams.close();
    }

    private static Serde<GenericRecord> payments() {
        return Serdes.serdeFrom(
            (topic, payment) -> {
                throw new UnsupportedOperationException("payments are only read");
            },
            new PaymentDeserializer());
    }

    private static Properties settings(String servers, Path folder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "benchmark-" + folder.getFileName());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder.resolve("state").toString());
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(
            StreamsConfig.mainConsumerPrefix(ConsumerConfig.INTERCEPTOR_CLASSES_CONFIG), Watching.class.getName());
        return settings;
    }

    private static void readEnds(String servers, String topic) {
        Map<String, Object> settings = Map.of(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            ends.putAll(consumer.endOffsets(consumer.partitionsFor(topic).stream()
                .map(one -> new TopicPartition(topic, one.partition())).collect(Collectors.toSet())));
        }
    }

    /** Avro behind the five bytes with which the registry's clients frame it. */
    private static final class PaymentDeserializer implements Deserializer<GenericRecord> {
        private final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
        private BinaryDecoder decoder;

        @Override
        public GenericRecord deserialize(String topic, byte[] data) {
            decoder = DecoderFactory.get().binaryDecoder(data, PREFIX_BYTES, data.length - PREFIX_BYTES, decoder);
            try {
                return reader.read(null, decoder);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    /** Notes the first and the last record, and asks for a commit behind the last of each partition. */
    private static final class Counting extends ContextualFixedKeyProcessor<String, GenericRecord, GenericRecord> {
        private final long expected;

        Counting(long expected) {
            this.expected = expected;
        }

        @Override
        public void process(FixedKeyRecord<String, GenericRecord> record) {
            if (records == 0) {
                begunUnixS = System.currentTimeMillis() / 1e3;
                cpuAtBegin = cpuSeconds();
                begunNs = System.nanoTime();
            }
            context().forward(record);
            records++;
            if (records == expected) {
                processedNs = System.nanoTime();
            }
            RecordMetadata place = context().recordMetadata().orElseThrow();
            if (place.offset() + 1 == ends.get(new TopicPartition(place.topic(), place.partition()))) {
                context().commit();
            }
        }
    }

    /** Is told of every commit; Kafka Streams commits offsets after stores and changelogs are flushed. */
    public static final class Watching implements ConsumerInterceptor<byte[], byte[]> {
        private final Map<TopicPartition, Long> reached = new HashMap<>();

        @Override
        public void onCommit(Map<TopicPartition, OffsetAndMetadata> offsets) {
            offsets.forEach((partition, offset) -> reached.put(partition, offset.offset()));
            if (committed.getCount() == 1 && reached.equals(ends)) {
                committedNs = System.nanoTime();
                committed.countDown();
            }
        }

        @Override
        public ConsumerRecords<byte[], byte[]> onConsume(ConsumerRecords<byte[], byte[]> read) {
            return read;
        }

        @Override
        public void configure(Map<String, ?> settings) {
        }

        @Override
        public void close() {
        }
    }

    private static String totals(KafkaStreams streams) {
        long keys = 0, digest = 0;
        var store = streams.store(
            StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore()));
        try (KeyValueIterator<String, Long> all = store.all()) {
            while (all.hasNext()) {
                var entry = all.next();
                CRC32 crc = new CRC32();
                crc.update(entry.key.getBytes(StandardCharsets.UTF_8));
                keys++;
                sum += entry.value;
                digest += crc.getValue() * entry.value;
            }
        }
        return ", \"keys\": " + keys + ", \"digest\": " + (digest & Long.MAX_VALUE);
    }

    private static void write(Path folder, double cpu, String answer) throws IOException {
        String text = "{\"begun_unix_s\": " + begunUnixS + ", \"processed_s\": " + (processedNs - begunNs) / 1e9
            + ", \"committed_s\": " + (committedNs - begunNs) / 1e9 + ", \"cpu_s\": " + cpu
            + ", \"peak_rss_mb\": " + peakMb() + ", \"answer\": {\"records\": " + records + ", \"sum\": " + sum
            + answer + "}}";
        Path part = Files.writeString(folder.resolve("result.part"), text);
        Files.move(part, folder.resolve("result.json"), StandardCopyOption.ATOMIC_MOVE);
    }

    /** User and system time of this process, as Linux counts it: a hundred ticks a second. */
    private static double cpuSeconds() {
        try {
            String[] fields = Files.readString(Path.of("/proc/self/stat")).replaceFirst(".*\\) ", "").split(" ");
            return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static double peakMb() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
            }
        }
        throw new IOException("no VmHWM in /proc/self/status");
    }
}
